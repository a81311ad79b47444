"""One side of a call of a farm phone."""

import asyncio
import time
from typing import Final, Protocol

from parley.sdp import SdpError, SessionDescription, parse_sdp
from parley.sip.dialog import Dialog
from parley.sip.message import Request, Response, response_to
from parley.sip.transaction import ClientTransaction, ServerTransaction
from parley.testkit.farm.manners import Held, Step
from parley.testkit.farm.rtp import Stream
from parley.testkit.phones.line import Line

_SDP_TYPE: Final = "application/sdp"
_TIMEOUT_S: Final = 33.0
_GLARE: Final = 491
_GLARE_PAUSE_S: Final = 0.7
"""Who took the call waits for less than 2 s (RFC 3261 14.1); see `FarmCall.glare_pause_s`."""


class CallFailed(Exception):
    """A request of a call was refused or never answered.

    Attributes:
        status: final status; 408 when there was none.
        retry_after_s: what the refusal asks to wait (RFC 3261 20.33).
    """

    def __init__(self, method: str, status: int, retry_after_s: float = 0.0) -> None:
        super().__init__(f"{method} got {status}")
        self.status = status
        self.retry_after_s = retry_after_s


class Phone(Protocol):
    """What a call needs of the phone that makes or takes it.

    Attributes:
        line: whose phone it is.
        host: address of its audio.
        contact: Contact value.
        withheld: steps that its calls do not take until they are told to.
    """

    line: Line
    host: str
    contact: str
    withheld: set[Step]

    async def transact(self, request: Request, timeout_s: float) -> Response:
        """Sends a request; returns its final response, 408 or 503 of our own if there is none."""
        ...

    def cancel(self, transaction: ClientTransaction) -> None:
        """Gives an INVITE up."""
        ...

    def send_ack(self, ack: Request) -> None:
        """Sends the ACK to a 2xx."""
        ...

    def respond(
        self, transaction: ServerTransaction, response: Response, *, until_ack: bool = False
    ) -> None:
        """Answers a request."""
        ...

    def release(self, call: "FarmCall") -> None:
        """A call is over."""
        ...


class FarmCall:
    """A confirmed dialog, with or without audio.

    Attributes:
        dialog: SIP state.
        sip_call_id: by which a CDR's leg is found.
        stream: the audio; None for a call that sends none.
        started, answered, ended: monotonic seconds; None until then.
        parted: when our BYE was answered, or given up.
        rang: set when the caller has heard that the other phone rings.
        is_over: set when either side has hung up.
        ended_by_peer: the BYE came from the other side.
        offers: re-INVITEs and UPDATEs that came.
        held: what it does not do yet.
        inviting: the transaction of the INVITE that makes the call; None for who was called.
        glare_pause_s: after a 491 a new try comes after so many seconds. When both sides must try
            again the caller's has to be longer (RFC 3261 14.1: 2.1 s or more).
        anomalies: what no phone should be sent, in words.
    """

    def __init__(self, phone: Phone, sip_call_id: str, stream: Stream | None) -> None:
        self.phone = phone
        self.sip_call_id = sip_call_id
        self.stream = stream
        self.dialog: Dialog | None = None
        self.tag = ""
        self.started = time.perf_counter()
        self.answered: float | None = None
        self.ended: float | None = None
        self.parted: float | None = None
        self.rang = asyncio.Event()
        self.is_over = asyncio.Event()
        self.is_confirmed = asyncio.Event()
        self.ended_by_peer = False
        self.offers = 0
        self.ack: Request | None = None
        self.held = Held(phone.withheld)
        self.inviting: ClientTransaction | None = None
        self.glare_pause_s = _GLARE_PAUSE_S
        self.anomalies: list[str] = []
        self._version = 1
        self._is_offering = False
        self._heard: tuple[str, int, bytes] | None = None

    # --- descriptions ----------------------------------------------------------------------

    def description(self) -> bytes:
        """Our SDP; its version grows with every one."""
        host = self.phone.host
        port = self.stream.port if self.stream is not None else 40_000
        text = (
            f"v=0\r\no=- 77 {self._version} IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 8\r\na=sendrecv\r\n"
        )
        self._version += 1
        return text.encode()

    def hear(self, body: bytes) -> None:
        """Takes the other side's description: audio goes there from now on."""
        if not body:
            return
        try:
            description = parse_sdp(body)
            audio = description.media[0]
        except (SdpError, IndexError) as error:
            raise AssertionError(f"a phone was sent what is no description: {body!r}") from error
        self._check_version(description, body)
        connection = audio.connection
        if self.stream is not None and connection is not None:
            self.stream.target = (connection.address, audio.port)

    def _check_version(self, description: SessionDescription, body: bytes) -> None:
        """RFC 3264 8: one session, whose version grows by one when the description changes."""
        origin = description.origin
        heard, self._heard = self._heard, (origin.session_id, int(origin.version), body)
        if heard is None:
            return
        session, version, before = heard
        if origin.session_id != session:
            self.anomalies.append("the session of the description changed")
        elif int(origin.version) < version:
            self.anomalies.append(f"description {origin.version} after {version}")
        elif int(origin.version) == version and body != before:
            self.anomalies.append(f"two descriptions of version {version}")

    # --- what we do ------------------------------------------------------------------------

    async def hang_up(self, timeout_s: float = _TIMEOUT_S) -> float:
        """Sends BYE; returns the seconds until its 200.

        Raises:
            CallFailed: it got another answer, or none.
        """
        began = time.perf_counter()
        self.end()
        response = await self._transact(self._established().new_request("BYE"), timeout_s)
        self.parted = time.perf_counter()
        if response.status != 200:
            raise CallFailed("BYE", response.status)
        return time.perf_counter() - began

    async def re_invite(self, timeout_s: float = _TIMEOUT_S) -> float:
        """Offers anew; returns the seconds until the 200. A 491 is tried again, as it must be.

        Raises:
            CallFailed: it was refused or not answered.
        """
        began = time.perf_counter()
        while True:
            request = self._established().new_request("INVITE")
            set_sdp(request, self.description())
            self._is_offering = True
            try:
                response = await self._transact(request, timeout_s)
            finally:
                self._is_offering = False
            if response.status != _GLARE:
                break
            await asyncio.sleep(self.glare_pause_s)
        if response.status != 200:
            raise CallFailed("re-INVITE", response.status)
        self.hear(response.body)
        self.acknowledge(request.cseq.number)
        return time.perf_counter() - began

    def acknowledge(self, cseq: int, body: bytes = b"") -> None:
        """Sends the ACK to a 2xx, and keeps it for when the 2xx comes again."""
        self.held.reach(Step.ACK, lambda: self._acknowledge(cseq, body))

    def _acknowledge(self, cseq: int, body: bytes) -> None:
        self.ack = self._established().new_ack(cseq)
        if body:
            set_sdp(self.ack, body)
        self.phone.send_ack(self.ack)

    def cancel(self) -> None:
        """Gives up calling; `FarmPhone.call` raises when the INVITE has its 487."""
        assert self.inviting is not None, "who was called cannot cancel"
        self.phone.cancel(self.inviting)

    def end(self, *, by_peer: bool = False) -> None:
        """The call is over for this side."""
        if self.ended is None:
            self.ended = time.perf_counter()
            self.ended_by_peer = by_peer
            self.phone.release(self)
            self.is_over.set()

    # --- what the other side does ----------------------------------------------------------

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """Takes a request within the dialog."""
        status = self._established().receive_request(request)
        if status is not None:
            self.anomalies.append(f"{request.method} with CSeq {request.cseq.number} got {status}")
            self.phone.respond(transaction, response_to(request, status))
        elif request.method == "BYE":
            self.held.reach(Step.BYE, lambda: self._take_bye(transaction, request))
        elif request.method in ("INVITE", "UPDATE"):
            self.offers += 1
            if self._is_offering:
                # RFC 3261 14.2, RFC 3311 5.2: the offers have crossed.
                self.phone.respond(transaction, response_to(request, _GLARE))
            else:
                self.held.reach(Step.OFFER, lambda: self._take_offer(transaction, request))
        else:
            self.phone.respond(transaction, response_to(request, 200))

    def _take_bye(self, transaction: ServerTransaction, request: Request) -> None:
        self.phone.respond(transaction, response_to(request, 200))
        self.end(by_peer=True)

    def _take_offer(self, transaction: ServerTransaction, request: Request) -> None:
        self._established().refresh_target(request)
        self.hear(request.body)
        answer = response_to(request, 200)
        answer.add("contact", self.phone.contact)
        set_sdp(answer, self.description())
        self.phone.respond(transaction, answer, until_ack=request.method == "INVITE")

    async def _transact(self, request: Request, timeout_s: float) -> Response:
        if request.method == "INVITE":
            request.set("contact", self.phone.contact)
        return await self.phone.transact(request, timeout_s)

    def _established(self) -> Dialog:
        assert self.dialog is not None, "the call has no dialog yet"
        return self.dialog


def set_sdp(message: Request | Response, body: bytes) -> None:
    """Gives a message a description."""
    message.set("content-type", _SDP_TYPE)
    message.body = body
