"""Events as others may see them: the one place that makes a public event of an internal one.

What travels on the bus carries what our own services need: signed routes, instances, the phone's
SIP state. Out of the platform goes what a customer's program can use and rely on. All `call.*` and
`cdr.*` events begin with the same fields; every time is RFC 3339 text.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct

from parley.model.call import CallRecord, MediaRecord, Termination, Timestamp
from parley.model.errors import MalformedEvent
from parley.model.events import (
    CallProgress,
    ConfigChange,
    ConfigChanged,
    Event,
    UnknownEvent,
    decode_event,
)
from parley.model.ids import CallId, TenantId
from parley.model.registration import Binding


class PublicCall(Struct, frozen=True, kw_only=True):
    """A call that goes on: the data of `call.started`, `.ringing`, `.answered`, `.updated`.

    Attributes:
        callee: who is being reached; empty while nobody is.
        is_held: the media was put on hold by either side.
    """

    call_id: CallId
    tenant_id: TenantId
    caller: str
    callee: str
    dialled: str
    started_at: Timestamp
    ringing_at: Timestamp | None
    answered_at: Timestamp | None
    is_held: bool = False


class PublicLeg(Struct, frozen=True, kw_only=True):
    """One leg of an ended call."""

    leg: str
    party: str
    sip_call_id: str
    started_at: Timestamp
    answered_at: Timestamp | None
    ended_at: Timestamp
    sip_status: int | None
    media_note: str


class PublicEndedCall(PublicCall, frozen=True, kw_only=True):
    """An ended call: the data of `call.ended` and `cdr.created`."""

    ended_at: Timestamp
    duration_s: float
    termination: Termination
    legs: list[PublicLeg]
    media: list[MediaRecord]


class PublicRegistration(Struct, frozen=True, kw_only=True):
    """A registered contact: the data of `registration.*`.

    Attributes:
        source: IP address the REGISTER came from.
    """

    aor: str
    contact: str
    expires_at: Timestamp
    user_agent: str
    source: str


PublicData = PublicCall | PublicEndedCall | PublicRegistration | ConfigChange


class PublicEvent(Struct, frozen=True, kw_only=True):
    """The attributes that all events share (CloudEvents 1.0, section 3.1).

    Attributes:
        source: the kind of thing that saw it happen, never an instance.
    """

    specversion: str
    type: str
    id: str
    source: str
    time: Timestamp
    subject: str
    tenantid: TenantId
    sequence: int
    data: PublicData


_SOURCE: Final = "/parley/"
_encode: Final = msgspec.json.Encoder().encode


def encode_public_event(data: bytes) -> bytes:
    """Makes the JSON of a public event of that of an internal one.

    Raises:
        MalformedEvent: it is no event, or of a type that this version cannot tell what of it is
            public.
    """
    event = decode_event(data)
    return _encode(
        PublicEvent(
            specversion=event.specversion,
            type=event.type,
            id=event.id,
            source=_SOURCE + event.type.partition(".")[0],
            time=event.time,
            subject=event.subject,
            tenantid=event.tenantid,
            sequence=event.sequence,
            data=_public(event),
        )
    )


def _public(event: Event) -> PublicData:
    if isinstance(event, UnknownEvent):
        raise MalformedEvent(f"nothing is known of {event.type} events")
    if isinstance(event, ConfigChanged):
        return event.data
    data: CallProgress | CallRecord | Binding = event.data  # type: ignore[attr-defined]
    if isinstance(data, CallProgress):
        return _call(data, event.tenantid)
    return _ended_call(data) if isinstance(data, CallRecord) else _registration(data)


def _call(progress: CallProgress, tenant_id: TenantId) -> PublicCall:
    return PublicCall(
        call_id=progress.call_id,
        tenant_id=tenant_id,
        caller=progress.caller,
        callee=progress.callee,
        dialled=progress.dialled,
        started_at=progress.started_at,
        ringing_at=progress.ringing_at,
        answered_at=progress.answered_at,
        is_held=progress.is_held,
    )


def _ended_call(record: CallRecord) -> PublicEndedCall:
    return msgspec.convert(record, PublicEndedCall, from_attributes=True)


def _registration(binding: Binding) -> PublicRegistration:
    return PublicRegistration(
        aor=binding.aor,
        contact=binding.contact,
        expires_at=datetime.fromtimestamp(binding.expires_at, UTC),
        user_agent=binding.user_agent,
        source=binding.source,
    )
