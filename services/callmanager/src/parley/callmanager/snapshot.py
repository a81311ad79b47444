"""The snapshot of a call in shared state: the only module that encodes and decodes it.

One msgpack map. Its first keys are public (`parley.model.live_call`), the rest is ours and carries
a version; a reader refuses a version that it does not know. It holds all that a successor needs:
both sides' dialogs and descriptions, the phones still ringing, the relay session, what the call
waits for (as wall time) and the events that the bus may not have yet.
"""

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from parley.callmanager.call import Call
from parley.callmanager.callee_leg import CalleeLeg
from parley.callmanager.errors import MalformedSnapshot
from parley.callmanager.journal import PendingEvent
from parley.callmanager.leg import Leg, LegState
from parley.callmanager.media_session import MediaPhase
from parley.callmanager.outputs import Deadline
from parley.callmanager.parts import CallState
from parley.callmanager.routing import Target
from parley.model.call import Termination
from parley.model.events import CallProgress
from parley.model.ids import TenantId
from parley.model.media import LocalStream
from parley.sip.message import Request

VERSION: Final = 1
_NEEDED_HEADERS: Final = (
    "via",
    "from",
    "to",
    "call-id",
    "cseq",
    "record-route",
    "contact",
    "max-forwards",
    "x-parley-source",
)
"""What of the caller's INVITE a successor needs to answer it."""


class LegSnapshot(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One leg.

    Attributes:
        told_session, told_version, told_body: our description towards the phone.
        remote: the phone's description in force.
        awaits_ack: our 2xx has no ACK yet.
        target: the phone and the way to it; None for the caller.
        owes_ack: the phone's 2xx has no ACK yet.
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
    awaits_ack: bool = False
    target: Target | None = None
    owes_ack: bool = False
    is_cancelled: bool = False


class MediaSnapshot(Struct, frozen=True, kw_only=True):
    """The session at the relay."""

    session_id: str
    relay: str
    phase: MediaPhase
    ports: dict[str, list[LocalStream]]


class Snapshot(Struct, frozen=True, kw_only=True):
    """A whole call; `state` and `progress` are the public head and stay first.

    Attributes:
        invite: the needed headers of the caller's INVITE, in order.
        callee: leg id of the phone that answered; empty while none has.
        deadlines: Unix seconds by kind.
        events: what the bus may not have.
    """

    state: CallState
    progress: CallProgress
    version: int
    tenant_id: TenantId
    epoch: int
    domain: str
    max_duration_s: float
    media_timeout_s: float
    invite: Raw
    legs: list[LegSnapshot]
    callee: str
    media: MediaSnapshot
    deadlines: dict[Deadline, float]
    termination: Termination | None
    sequence: int
    published: int
    events: list[PendingEvent]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)
_invite_decoder = msgspec.msgpack.Decoder(list[tuple[str, str]])


def encode_invite(request: Request) -> Raw:
    """Encodes what never changes; once per call."""
    return Raw(
        _encoder.encode(
            [(name, value) for name in _NEEDED_HEADERS for value in request.get_all(name)]
        )
    )


def encode_snapshot(call: Call, epoch: int, invite: Raw) -> bytes:
    """Encodes the state of a call; `invite` comes from `encode_invite`."""
    parts, setup = call.parts, call.setup
    journal, media = parts.journal, parts.media
    return _encoder.encode(
        Snapshot(
            state=parts.state,
            progress=journal.progress(),
            version=VERSION,
            tenant_id=journal.parties.tenant_id,
            epoch=epoch,
            domain=setup.domain,
            max_duration_s=setup.max_duration_s,
            media_timeout_s=setup.media_timeout_s,
            invite=invite,
            legs=[_leg(leg) for leg in parts.legs()],
            callee="" if parts.callee is None else parts.callee.id,
            media=MediaSnapshot(
                session_id=media.session_id,
                relay=media.relay,
                phase=media.phase,
                ports=media.ports,
            ),
            deadlines={kind: journal.wall_s(at) for kind, at in parts.out.deadlines.items()},
            termination=journal.termination,
            sequence=journal.sequence,
            published=journal.published,
            events=journal.events,
        )
    )


def decode_snapshot(data: bytes) -> Snapshot:
    """Decodes a snapshot.

    Raises:
        MalformedSnapshot: the bytes are none, or of another version.
    """
    try:
        snapshot = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise MalformedSnapshot(f"not a snapshot: {error}") from error
    if snapshot.version != VERSION:
        raise MalformedSnapshot(f"snapshot of version {snapshot.version}, not {VERSION}")
    return snapshot


def decode_invite(snapshot: Snapshot) -> list[tuple[str, str]]:
    """The needed headers of the caller's INVITE.

    Raises:
        MalformedSnapshot: they cannot be read.
    """
    try:
        return _invite_decoder.decode(snapshot.invite)
    except msgspec.MsgspecError as error:
        raise MalformedSnapshot(f"not an INVITE's headers: {error}") from error


def _leg(leg: Leg) -> LegSnapshot:
    phone = leg if isinstance(leg, CalleeLeg) else None
    return LegSnapshot(
        id=leg.id,
        state=leg.state,
        sip_call_id=leg.sip_call_id,
        tag=leg.tag,
        party=leg.party,
        dialog=None if leg.dialog is None else leg.dialog.to_record(),
        learn_from=leg.learn_from,
        told_session=leg.told.session_id,
        told_version=leg.told.version,
        told_body=leg.told.body,
        remote=b"" if leg.remote is None else leg.remote.body,
        awaits_ack=leg.unacked is not None,
        target=None if phone is None else phone.target,
        owes_ack=phone is not None and phone.owes_ack,
        is_cancelled=phone is not None and phone.is_cancelled,
    )
