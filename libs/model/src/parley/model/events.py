"""Events: facts that travel as JSON on the bus and to WSI clients.

Each is a CloudEvents 1.0 object in structured mode: the attributes that CloudEvents names, plus
the extension attributes `tenantid` and `sequence`, and the payload under `data`. `subject` is the
key that orders events (a call id, an AOR, a tenant id) and `sequence` counts within it. Consumers
survive newer producers: unknown fields are ignored, an unknown type decodes to `UnknownEvent`.
"""

from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct, field

from parley.model.call import CallRecord, Timestamp
from parley.model.errors import MalformedEvent
from parley.model.ids import CallId, InstanceId, TenantId
from parley.model.registration import Binding


class Event(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Attributes that all events share (CloudEvents 1.0, section 3.1).

    Attributes:
        id: unique per event; the same event delivered twice has the same id.
        source: the instance that saw it happen.
        subject: what it happened to.
        sequence: grows by one per event of a subject; 0 where nothing counts.
    """

    id: str
    source: str
    time: Timestamp
    subject: str
    tenantid: TenantId
    sequence: int = 0
    specversion: str = "1.0"

    @property
    def type(self) -> str:
        """The event's type, `call.started` for one."""
        return str(self.__struct_config__.tag)


class CallProgress(Struct, frozen=True, kw_only=True):
    """A call that goes on.

    Attributes:
        callee: who is being reached; empty while nobody is.
        owner: the call manager that acts for the call.
        is_held: the media was put on hold by either side.
    """

    call_id: CallId
    caller: str
    callee: str = ""
    dialled: str
    started_at: Timestamp
    ringing_at: Timestamp | None = None
    answered_at: Timestamp | None = None
    owner: InstanceId
    is_held: bool = False


class CallStarted(Event, frozen=True, kw_only=True, tag="call.started"):
    """A call was accepted for routing."""

    data: CallProgress


class CallRinging(Event, frozen=True, kw_only=True, tag="call.ringing"):
    """The first phone of the callee rings."""

    data: CallProgress


class CallAnswered(Event, frozen=True, kw_only=True, tag="call.answered"):
    """The callee answered; the call's duration starts here."""

    data: CallProgress


class CallUpdated(Event, frozen=True, kw_only=True, tag="call.updated"):
    """Media or parties of an answered call changed."""

    data: CallProgress


class CallEnded(Event, frozen=True, kw_only=True, tag="call.ended"):
    """A call ended; carries the whole record from which its CDR is made."""

    data: CallRecord


class CdrCreated(Event, frozen=True, kw_only=True, tag="cdr.created"):
    """The CDR of a call is stored and can be asked for."""

    data: CallRecord


class RegistrationAdded(Event, frozen=True, kw_only=True, tag="registration.added"):
    """A phone registered a contact that was not bound before."""

    data: Binding


class RegistrationRefreshed(Event, frozen=True, kw_only=True, tag="registration.refreshed"):
    """A phone registered a bound contact again."""

    data: Binding


class RegistrationRemoved(Event, frozen=True, kw_only=True, tag="registration.removed"):
    """A phone took its contact away, or an administrator did."""

    data: Binding


class RegistrationExpired(Event, frozen=True, kw_only=True, tag="registration.expired"):
    """A contact was not refreshed in time."""

    data: Binding


class ConfigKind(StrEnum):
    """What kind of thing was configured."""

    TENANT = "tenant"
    EXTENSION = "extension"


class ConfigAction(StrEnum):
    """What happened to it."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


class ConfigChange(Struct, frozen=True, kw_only=True):
    """Names what changed; readers fetch the new state themselves.

    Attributes:
        ids: the things of that kind; empty means all of the tenant's.
    """

    kind: ConfigKind
    action: ConfigAction
    ids: list[str] = field(default_factory=list)


class ConfigChanged(Event, frozen=True, kw_only=True, tag="config.changed"):
    """A tenant's configuration changed in the database; caches drop what it names."""

    data: ConfigChange


class UnknownEvent(Event, frozen=True, kw_only=True, tag="unknown"):
    """An event of a type that this version does not know, kept as it came."""

    type_name: str
    data: Raw = Raw(b"null")

    @property
    def type(self) -> str:
        """The type that the producer gave."""
        return self.type_name


KnownEvent = (
    CallStarted
    | CallRinging
    | CallAnswered
    | CallUpdated
    | CallEnded
    | CdrCreated
    | RegistrationAdded
    | RegistrationRefreshed
    | RegistrationRemoved
    | RegistrationExpired
    | ConfigChanged
)


class _Envelope(Struct, frozen=True, kw_only=True):
    """An event of any type, its payload untouched."""

    type: str
    id: str
    source: str
    time: Timestamp
    subject: str = ""
    tenantid: TenantId = TenantId("")
    sequence: int = 0
    specversion: str = "1.0"
    data: Raw = Raw(b"null")


EVENT_TYPES: Final[frozenset[str]] = frozenset(
    str(cls.__struct_config__.tag) for cls in KnownEvent.__args__
)

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Event] = msgspec.json.Decoder(KnownEvent)
_ENVELOPE_DECODER = msgspec.json.Decoder(_Envelope)


def encode_event(event: Event) -> bytes:
    """Encodes an event as JSON; an `UnknownEvent` becomes what it was decoded from."""
    if type(event) is UnknownEvent:
        fields: dict[str, Any] = {
            name: getattr(event, name) for name in _Envelope.__struct_fields__
        }
        return _ENCODER.encode(_Envelope(**fields))
    return _ENCODER.encode(event)


def decode_event(data: bytes) -> Event:
    """Decodes an event from JSON.

    Raises:
        MalformedEvent: no JSON, an attribute is missing or has a wrong type, or the payload is not
            what this type of event carries.
    """
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _decode_unknown(data, error)


def _decode_unknown(data: bytes, cause: Exception) -> UnknownEvent:
    try:
        envelope = _ENVELOPE_DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedEvent(f"not an event: {error}") from error
    if envelope.type in EVENT_TYPES:
        raise MalformedEvent(f"malformed {envelope.type}: {cause}") from cause
    return UnknownEvent(
        id=envelope.id,
        source=envelope.source,
        time=envelope.time,
        subject=envelope.subject,
        tenantid=envelope.tenantid,
        sequence=envelope.sequence,
        specversion=envelope.specversion,
        type_name=envelope.type,
        data=envelope.data.copy(),
    )
