"""A phone that does one thing at a time and sends nothing twice."""

import socket
from typing import Final

from tests.bench.whole_platform import CALLEE, DOMAIN, HOST, PASSWORD

from parley.sip.digest import Challenge, authorization, choose_challenge
from parley.sip.message import Request, Response, parse_message, response_to

_TIMEOUT_S: Final = 10.0
_SDP: Final = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
)


class Phone:
    """A UDP socket with a phone's habits: one thing at a time, nothing sent twice."""

    def __init__(self, port: int, server: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, port))
        self._socket.connect((HOST, server))
        self._socket.settimeout(_TIMEOUT_S)
        self._port = self._socket.getsockname()[1]
        self._serial = 0
        self._challenge: Challenge | None = None

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def register(self, user: str) -> None:
        """REGISTER, 401, REGISTER with digest, 200."""
        self._serial += 1
        request = self._register(user, self._serial, 1)
        challenge = choose_challenge(self.ask(request, 401).get_all("www-authenticate"))
        assert challenge is not None
        request = self._register(user, self._serial, 2)
        request.add("authorization", authorization(challenge, request, user, PASSWORD, "cnonce"))
        self.ask(request, 200)

    def call(self, callee: "Phone") -> None:
        """INVITE, 100, 180, 200, ACK, BYE, 200: what a call without silence costs."""
        self._serial += 1
        request = self._request("INVITE", 1)
        request.add("contact", f"<sip:caller@{HOST}:{self._port}>")
        request.add("content-type", "application/sdp")
        request.body = _SDP.format(port=30000).encode()
        self.send(request)
        invite = callee.request("INVITE")
        callee.send(callee.answer(invite, 180))
        self.response(180)
        ok = callee.answer(invite, 200)
        ok.add("content-type", "application/sdp")
        ok.body = _SDP.format(port=30002).encode()
        callee.send(ok)
        answer = self.response(200)
        self.send(self._within("ACK", request, answer, 1))
        callee.request("ACK")
        self.send(self._within("BYE", request, answer, 2))
        callee.send(callee.answer(callee.request("BYE"), 200))
        self.response(200)

    def send(self, message: Request | Response) -> None:
        """Sends a message to the platform."""
        self._socket.send(bytes(message))

    def ask(self, request: Request, status: int) -> Response:
        """Sends a request and waits for its final response."""
        self.send(request)
        return self.response(status)

    def response(self, status: int) -> Response:
        """Waits for a response, past others that are provisional."""
        while True:
            message = parse_message(self._socket.recv(65535))
            assert isinstance(message, Response), message
            if message.status == status:
                return message
            assert message.status < 200, message

    def request(self, method: str) -> Request:
        """Waits for a request."""
        message = parse_message(self._socket.recv(65535))
        assert isinstance(message, Request), message
        assert message.method == method
        return message

    def answer(self, request: Request, status: int) -> Response:
        """Makes the response of a callee."""
        response = response_to(request, status, to_tag="callee")
        response.add("contact", f"<sip:{CALLEE}@{HOST}:{self._port}>")
        for value in request.get_all("record-route"):
            response.add("record-route", value)
        return response

    def _register(self, user: str, serial: int, cseq: int) -> Request:
        request = Request("REGISTER", f"sip:{DOMAIN}")
        request.add("via", self._via(f"r{serial}-{cseq}"))
        request.add("from", f"<sip:{user}@{DOMAIN}>;tag={serial}")
        request.add("to", f"<sip:{user}@{DOMAIN}>")
        request.add("call-id", f"{serial}@{self._port}")
        request.add("cseq", f"{cseq} REGISTER")
        request.add("contact", f"<sip:{user}@{HOST}:{self._port}>")
        request.add("expires", "3600")
        request.add("max-forwards", "70")
        return request

    def _request(self, method: str, cseq: int) -> Request:
        request = Request(method, f"sip:{CALLEE}@{DOMAIN}")
        request.add("via", self._via(f"{method}{self._serial}"))
        request.add("from", f"<sip:caller@{DOMAIN}>;tag={self._serial}")
        request.add("to", f"<sip:{CALLEE}@{DOMAIN}>")
        request.add("call-id", f"call-{self._serial}@{self._port}")
        request.add("cseq", f"{cseq} {method}")
        request.add("max-forwards", "70")
        return request

    def _within(self, method: str, invite: Request, answer: Response, cseq: int) -> Request:
        contact = answer.get("contact")
        assert contact is not None
        request = Request(method, contact.strip("<>"))
        request.add("via", self._via(f"{method}{self._serial}"))
        for value in reversed(answer.get_all("record-route")):
            request.add("route", value)
        request.add("from", invite.get("from") or "")
        request.add("to", answer.get("to") or "")
        request.add("call-id", invite.call_id)
        request.add("cseq", f"{cseq} {method}")
        request.add("max-forwards", "70")
        return request

    def _via(self, branch: str) -> str:
        return f"SIP/2.0/UDP {HOST}:{self._port};branch=z9hG4bK{branch};rport"
