"""What a call wants done: the outputs of the pure core, carried out in order by the shell.

`WriteSnapshot` is a barrier: what follows it in the list is carried out only after the write came
back as not fenced (`docs/design/call.md`). `MediaCommand` is answered by `Call.receive_media`.
"""

from enum import StrEnum
from typing import Any

from msgspec import Struct

from parley.model.media import Command
from parley.sip.hop import Hop
from parley.sip.message import Request, Response


class MediaPurpose(StrEnum):
    """Why a media command was given, so that its reply finds its way.

    `ADOPT` goes out once after a takeover: from then on the relay refuses the former owner.
    """

    OPEN = "open"
    EARLY = "early"
    ANSWER = "answer"
    OFFER_AGAIN = "offer-again"
    ANSWER_AGAIN = "answer-again"
    ACK_ANSWER = "ack-answer"
    ADOPT = "adopt"
    REOPEN = "reopen"
    MOVE = "move"
    MOVED = "moved"
    CLOSE_OLD = "close-old"
    CLOSE = "close"


class SendRequest(Struct, frozen=True):
    """Start a client transaction; `key` names it in what comes back.

    Attributes:
        branch: of its Via, magic cookie included (`branches.py`).
    """

    key: int
    request: Request
    hop: Hop
    branch: str


class CancelRequest(Struct, frozen=True):
    """Cancel the INVITE that was sent with this key (RFC 3261 9.1)."""

    key: int
    headers: tuple[tuple[str, str], ...] = ()


class SendAck(Struct, frozen=True):
    """Send the ACK to a 2xx, which belongs to no transaction."""

    request: Request
    hop: Hop


class SendResponse(Struct, frozen=True):
    """Answer a server transaction; the core does not look into it.

    Attributes:
        until_ack: a 2xx to an INVITE, to be repeated until its ACK (RFC 3261 13.3.1.4).
    """

    transaction: Any
    response: Response
    until_ack: bool = False


class MediaCommand(Struct, frozen=True):
    """Tell the relay; the reply comes back with the purpose."""

    purpose: MediaPurpose
    command: Command


class BindDialog(Struct, frozen=True):
    """In-dialog requests with this Call-ID and local tag are for this leg from now on."""

    sip_call_id: str
    local_tag: str
    leg: str


class WriteSnapshot(Struct, frozen=True):
    """Barrier: write the call's state; go on only when the write was not fenced."""


class PublishEvents(Struct, frozen=True):
    """Hand the journal's events to the bus; given only behind a write that holds them."""


class EndCall(Struct, frozen=True):
    """The call is over: its last events must reach the bus, then its snapshot is deleted."""


Action = (
    SendRequest
    | CancelRequest
    | SendAck
    | SendResponse
    | MediaCommand
    | BindDialog
    | WriteSnapshot
    | PublishEvents
    | EndCall
)

# Without fields: one instance each serves all calls.
WRITE_SNAPSHOT = WriteSnapshot()
PUBLISH_EVENTS = PublishEvents()
END_CALL = EndCall()
