"""What a snapshot is made of, part by part: `snapshot.py` encodes and decodes them.

All are written without what has its default, and readers ignore keys that they do not know. So a
field may be added with a default at any time; a change of meaning needs a new version. Times are
Unix seconds. A `Request` is kept without its Via unless it is one that has to be answered.
"""

from typing import Any

from msgspec import Struct

from parley.callmanager.exchange import Phase
from parley.callmanager.leg import LegState
from parley.callmanager.media_session import MediaPhase
from parley.callmanager.outputs import Purpose
from parley.callmanager.routing import Target
from parley.model.media import LocalStream
from parley.sip.hop import Hop

Headers = list[tuple[str, str]]


class RequestSnapshot(Struct, frozen=True, array_like=True):
    """A request, or what of it is needed."""

    method: str
    uri: str
    headers: Headers
    body: bytes = b""


class LegSnapshot(Struct, frozen=True, omit_defaults=True):
    """One leg.

    Attributes:
        told_session, told_version, told_body: our description towards the phone.
        remote: the phone's description in force; `early` the one that came with progress.
        awaits_ack: our 2xx has no ACK yet; `unacked` is the re-INVITE it answered, None when it
            was the INVITE.
        target: the phone and the way to it; None for the caller.
        key: of the INVITE; 0 before it left.
        owes_ack: the phone's 2xx has no ACK yet; `ack_body` is what the ACK held.
        owes_bye: Reason values of a BYE that waits for an ACK.
        owes_move: it was told ports of a relay that the call has left; `media_note` for the record.
    """

    id: str
    state: LegState
    sip_call_id: str
    tag: str
    party: str = ""
    dialog: dict[str, Any] | None = None
    learn_from: tuple[str, ...] = ()
    told_session: str = ""
    told_version: int = 0
    told_body: bytes = b""
    remote: bytes = b""
    early: bytes = b""
    awaits_ack: bool = False
    unacked: RequestSnapshot | None = None
    target: Target | None = None
    key: int = 0
    owes_ack: bool = False
    ack_body: bytes = b""
    owes_bye: tuple[str, ...] | None = None
    owes_move: bool = False
    media_note: str = ""
    is_cancelled: bool = False
    sip_status: int | None = None
    started_at: float = 0.0
    answered_at: float | None = None
    ended_at: float | None = None


class MediaSnapshot(Struct, frozen=True, omit_defaults=True):
    """The session at the relay; `indexes` are the streams that were asked for.

    While a call moves away from a relay, `old_relay` has the session too.
    """

    session_id: str
    relay: str
    phase: MediaPhase
    ports: dict[str, list[LocalStream]]
    indexes: tuple[int, ...] = ()
    old_relay: str = ""


class SentSnapshot(Struct, frozen=True, array_like=True):
    """A request of ours whose responses are still of interest.

    Attributes:
        request, hop: to send it again; None for an INVITE that makes a call, which is made again
            of its leg, and for one that is answered.
    """

    key: int
    purpose: Purpose
    leg: str
    epoch: int
    request: RequestSnapshot | None = None
    hop: Hop | None = None


class ForkSnapshot(Struct, frozen=True, omit_defaults=True):
    """How far the ringing is.

    Attributes:
        breadth: what each branch may still fork (RFC 5393).
        failures: statuses of the branches that came to nothing.
        redirected_to: Contact values that one of them named instead.
    """

    ring_timeout_s: float
    breadth: int
    failures: tuple[int, ...] = ()
    redirected_to: tuple[str, ...] = ()


class ExchangeSnapshot(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A re-INVITE or UPDATE under way; `request` is the origin's."""

    origin: str
    target: str
    request: RequestSnapshot
    phase: Phase
    offer: bytes = b""
    answer: bytes = b""
    key: int = 0
    cseq: int = 0


class OrphanSnapshot(Struct, frozen=True, array_like=True):
    """A re-INVITE of ours whose repeated 2xx is acknowledged with this."""

    key: int
    leg: str
    cseq: int
    body: bytes


class PassedSnapshot(Struct, frozen=True, array_like=True):
    """A phone's request that waits for the answer to ours."""

    key: int
    leg: str
    request: RequestSnapshot


class GivenSnapshot(Struct, frozen=True, array_like=True):
    """The answer to the last request of a phone that was passed on; without Via."""

    leg: str
    status: int
    reason: str
    headers: Headers
    body: bytes


class ChangeSnapshot(Struct, frozen=True, array_like=True):
    """A change of an echo call that waits for the relay."""

    request: RequestSnapshot
    offer: bytes
