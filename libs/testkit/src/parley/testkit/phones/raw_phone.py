"""A phone of one UDP socket, for tests that decide about every message themselves.

It blocks, keeps no dialog and answers nothing by itself: a test sends and receives. What a phone
must do to be let in (digest) and to be polite (ACK, retransmission) is here.
"""

import re
import secrets
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Final, Self

from parley.sip.dialog import Dialog
from parley.sip.digest import Challenge, authorization, choose_challenge
from parley.sip.errors import ParseError
from parley.sip.message import Message, Request, Response, parse_message, response_to
from parley.testkit.phones.line import Line

_CHALLENGES: Final = {401: "www-authenticate", 407: "proxy-authenticate"}
_ANSWERS: Final = {401: "authorization", 407: "proxy-authorization"}
_START_LINE: Final = re.compile(rb"SIP/2\.0 ([1-6]\d\d) [^\r\n]*\r\n|([A-Z]+) \S+ SIP/2\.0\r\n")
_RETRANSMIT_S: Final = 0.5
_MAX_DATAGRAM_BYTES: Final = 65_535
_PATIENCE_S: Final = 5.0


class RawPhone:
    """A context manager that closes its socket.

    Attributes:
        line: the extension it is the phone of.
        address: where it receives.
    """

    def __init__(self, line: Line, server: str, host: str = "127.0.0.1", port: int = 0) -> None:
        self.line = line
        server_host, _, server_port = server.rpartition(":")
        self._server = (server_host, int(server_port))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        bound = self._socket.getsockname()
        self.address = f"{bound[0]}:{bound[1]}"
        self._contact = f"<sip:{line.number}@{self.address}>"
        self._tag = secrets.token_hex(4)
        self._challenge: Challenge | None = None
        self._status = 407
        self._count = 0
        self._registration = f"{secrets.token_hex(8)}@raw"
        self._cseq = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    # --- messages --------------------------------------------------------------------------

    def request(self, method: str, callee: str = "", body: bytes = b"") -> Request:
        """A complete request to a number, or to the domain; no credentials."""
        self._cseq += 1
        domain = self.line.domain
        me = f"sip:{self.line.number}@{domain}"
        request = Request(method, f"sip:{callee}@{domain}" if callee else f"sip:{domain}")
        request.add("via", self._via())
        request.add("max-forwards", "70")
        request.add("from", f"<{me}>;tag={self._tag}")
        request.add("to", f"<sip:{callee}@{domain}>" if callee else f"<{me}>")
        request.add("call-id", f"{secrets.token_hex(8)}@raw")
        request.add("cseq", f"{self._cseq} {method}")
        request.add("contact", self._contact)
        if body:
            request.add("content-type", "application/sdp")
            request.body = body
        return request

    def description(self, port: int = 40_000) -> bytes:
        """SDP of one PCMA stream at this host."""
        host = self.address.rpartition(":")[0]
        return (
            f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 8\r\na=sendrecv\r\n"
        ).encode()

    def authorize(self, request: Request, header: str = "") -> None:
        """Adds credentials for the last challenge, each time with the next nonce count.

        Args:
            request: is changed.
            header: that carries them; the challenge's counterpart unless given.
        """
        assert self._challenge is not None, "nobody has challenged this phone yet"
        self._count += 1
        cnonce = secrets.token_hex(8)
        number, password = self.line.number, self.line.password
        value = authorization(self._challenge, request, number, password, cnonce, count=self._count)
        request.set(header or _ANSWERS[self._status], value)

    # --- sending and receiving -------------------------------------------------------------

    def send(self, message: Message | bytes) -> None:
        """Sends one datagram to the server."""
        self._socket.sendto(bytes(message), self._server)

    def receive(self, timeout_s: float = _PATIENCE_S) -> Request | Response | None:
        """The next message; None when none comes in time. What is no SIP fails the test."""
        data = self._receive_data(timeout_s)
        if data is None:
            return None
        try:
            return parse_message(data)
        except ParseError as error:
            raise AssertionError(
                f"the server sent what is no SIP ({error}): {data[:300]!r}"
            ) from error

    def hear(self, timeout_s: float = _PATIENCE_S) -> int | str | None:
        """The next response's status or request's method; None when none comes in time.

        The start line alone is read: the answer to a malformed request repeats what is malformed.
        """
        data = self._receive_data(timeout_s)
        return None if data is None else _heard(data)

    def overheard(self) -> Iterator[int | str]:
        """Everything that has come in so far, as `hear` tells it, without waiting."""
        while (heard := self.hear(0.0)) is not None:
            yield heard

    def expect(self, method: str, timeout_s: float = _PATIENCE_S) -> Request:
        """Waits for a request of this method; everything else is passed over."""
        for message in self._messages(timeout_s):
            if isinstance(message, Request) and message.method == method:
                return message
        raise AssertionError(f"{self.line.number} got no {method} in {timeout_s:g} s")

    def transact(self, request: Request, timeout_s: float = _PATIENCE_S) -> Response:
        """Sends a request, repeats it until its final response, and returns that."""
        self.send(request)
        return self._final(request, timeout_s, is_repeated=True)

    def final_of(self, request: Request) -> Response:
        """Waits for the final response to a request that was sent, and acknowledges a failure."""
        return self._final(request, _PATIENCE_S, is_repeated=False)

    def transact_authorized(self, request: Request) -> Response:
        """As `transact`, and answers one challenge."""
        response = self.transact(request)
        if response.status not in _CHALLENGES:
            return response
        return self.transact(self._answered(request, response))

    def authorized(self, request: Request) -> Request:
        """Sends a request to be challenged; returns it with the answer, for the test to send."""
        return self._answered(request, self.transact(request))

    def _answered(self, request: Request, response: Response) -> Request:
        header = _CHALLENGES.get(response.status, "")
        challenge = choose_challenge(response.get_all(header))
        assert challenge is not None, f"{request.method} got {response.status}, no challenge"
        self._challenge, self._status, self._count = challenge, response.status, 0
        self._cseq += 1
        again = request.copy()
        again.set("cseq", f"{self._cseq} {request.method}")
        again.set("via", self._via())
        self.authorize(again)
        return again

    # --- what phones do --------------------------------------------------------------------

    def register(self, expires_s: int = 300) -> None:
        """Registers this socket; the test fails when the server does not take it."""
        request = self.request("REGISTER")
        request.set("call-id", self._registration)
        request.add("expires", str(expires_s))
        response = self.transact_authorized(request)
        assert response.status == 200, f"REGISTER got {response.status} {response.reason}"

    def respond(
        self,
        request: Request,
        status: int,
        body: bytes = b"",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Answers a request."""
        response = response_to(request, status, to_tag=self._tag, headers=headers)
        for value in request.get_all("record-route"):
            response.add("record-route", value)
        if 100 < status < 300:
            response.add("contact", self._contact)
        if body:
            response.add("content-type", "application/sdp")
            response.body = body
        self.send(response)

    def is_alive(self) -> bool:
        """The server answers OPTIONS."""
        return self.transact(self.request("OPTIONS")).status == 200

    def begin_call(self, callee: "RawPhone") -> Request:
        """Sends an authorized INVITE and returns it; everything else is up to the test."""
        number = callee.line.number
        invite = self.authorized(self.request("INVITE", number, self.description()))
        self.send(invite)
        return invite

    def call(self, callee: "RawPhone") -> tuple[Dialog, Dialog]:
        """Calls another raw phone, which answers; returns both sides' dialogs."""
        invite = self.begin_call(callee)
        offered = callee.expect("INVITE")
        callee.respond(offered, 180)
        callee.respond(offered, 200, callee.description())
        answer = self.final_of(invite)
        assert answer.status == 200, f"INVITE got {answer.status} {answer.reason}"
        mine = Dialog.uac(invite, answer)
        mine.confirm()
        self.send(self.in_dialog(mine.new_ack(invite.cseq.number)))
        callee.expect("ACK")
        theirs = Dialog.uas(offered, callee._tag, callee._contact)
        theirs.confirm()
        return mine, theirs

    def in_dialog(self, request: Request) -> Request:
        """Completes a request that a dialog has made."""
        request.prepend("via", self._via())
        if not request.has("max-forwards"):
            request.add("max-forwards", "70")
        return request

    # --- inside ----------------------------------------------------------------------------

    def _receive_data(self, timeout_s: float) -> bytes | None:
        self._socket.settimeout(max(timeout_s, 0.000_1))
        try:
            return self._socket.recv(_MAX_DATAGRAM_BYTES)
        except TimeoutError:
            return None

    def _messages(self, timeout_s: float) -> Iterator[Request | Response | None]:
        """What comes in that time, and None whenever a retransmission would be due."""
        until = time.perf_counter() + timeout_s
        while (left_s := until - time.perf_counter()) > 0:
            yield self.receive(min(left_s, _RETRANSMIT_S))

    def _final(self, request: Request, timeout_s: float, *, is_repeated: bool) -> Response:
        for message in self._messages(timeout_s):
            if isinstance(message, Response) and _is_of(message, request):
                if message.status >= 200:
                    self._acknowledge_failure(request, message)
                    return message
                is_repeated = False
            elif message is None and is_repeated:
                self.send(request)
        raise AssertionError(f"no final response to {request.method} in {timeout_s:g} s")

    def _acknowledge_failure(self, request: Request, response: Response) -> None:
        if request.method != "INVITE" or response.status < 300:
            return
        ack = Request("ACK", request.uri_text)
        for name in ("via", "max-forwards", "from", "call-id"):
            ack.add(name, request.get(name) or "")
        ack.add("to", response.get("to") or "")
        ack.add("cseq", f"{request.cseq.number} ACK")
        self.send(ack)

    def _via(self) -> str:
        return f"SIP/2.0/UDP {self.address};branch=z9hG4bK{secrets.token_hex(8)};rport"


def _is_of(response: Response, request: Request) -> bool:
    return response.cseq == request.cseq and response.call_id == request.call_id


def _heard(data: bytes) -> int | str:
    match = _START_LINE.match(data)
    assert match is not None, f"the server sent what is no SIP: {data[:300]!r}"
    return match[2].decode() if match[1] is None else int(match[1])
