"""The call detail record: what is known of a call at its end."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

from parley.model.ids import CallId, InstanceId, TenantId

Timestamp = Annotated[datetime, Meta(tz=True)]
"""A point in wall time; always aware, RFC 3339 text in JSON."""


class CallResult(StrEnum):
    """How a call ended, as a person would say it."""

    ANSWERED = "answered"
    CANCELLED = "cancelled"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    NOT_FOUND = "not-found"
    FAILED = "failed"
    LOST = "lost"


class EndedBy(StrEnum):
    """Who ended a call."""

    CALLER = "caller"
    CALLEE = "callee"
    PLATFORM = "platform"


class Termination(Struct, frozen=True, kw_only=True):
    """The one classified end of a call.

    Attributes:
        reason: machine-readable detail (`hangup`, `media-timeout`, `ring-timeout`).
        sip_status: final status the caller got; 200 for an answered call.
    """

    result: CallResult
    reason: str
    sip_status: int
    by: EndedBy


class LegRecord(Struct, frozen=True, kw_only=True):
    """One leg of an ended call.

    Attributes:
        leg: `a` faces the caller, `b` the callee, further ones count on.
        party: number or address of the person on this leg.
        contact: where the phone was reached.
        sip_status: final status of the leg's INVITE; None when it never had one.
        media_note: why its media did not flow to the end; empty as a rule.
    """

    leg: str
    party: str
    sip_call_id: str
    contact: str = ""
    edge: InstanceId | None = None
    started_at: Timestamp
    answered_at: Timestamp | None = None
    ended_at: Timestamp
    sip_status: int | None = None
    media_note: str = ""


class MediaRecord(Struct, frozen=True, kw_only=True):
    """What one stream of one leg carried; received means from the phone."""

    leg: str
    index: int = 0
    packets_received: int = 0
    packets_sent: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    packets_lost: int = 0
    jitter_ms: float = 0.0


class CallRecord(Struct, frozen=True, kw_only=True):
    """The CDR; exactly one per call, whatever happened in between.

    Attributes:
        caller: number or address of the calling party.
        callee: who was reached or tried last; empty when nobody was.
        dialled: what the caller dialled, before any routing.
        duration_s: seconds from answer to end; 0 for a call that was not answered.
    """

    call_id: CallId
    tenant_id: TenantId
    caller: str
    callee: str
    dialled: str
    started_at: Timestamp
    ringing_at: Timestamp | None = None
    answered_at: Timestamp | None = None
    ended_at: Timestamp
    duration_s: float = 0.0
    termination: Termination
    legs: list[LegRecord] = field(default_factory=list)
    media: list[MediaRecord] = field(default_factory=list)
