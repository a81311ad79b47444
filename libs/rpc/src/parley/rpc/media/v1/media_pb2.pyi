from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SessionMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SESSION_MODE_UNSPECIFIED: _ClassVar[SessionMode]
    SESSION_MODE_BRIDGE: _ClassVar[SessionMode]
    SESSION_MODE_ECHO: _ClassVar[SessionMode]

class ReplyError(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPLY_ERROR_UNSPECIFIED: _ClassVar[ReplyError]
    REPLY_ERROR_STALE_EPOCH: _ClassVar[ReplyError]
    REPLY_ERROR_UNKNOWN_SESSION: _ClassVar[ReplyError]
    REPLY_ERROR_PORTS_EXHAUSTED: _ClassVar[ReplyError]
    REPLY_ERROR_INVALID: _ClassVar[ReplyError]
    REPLY_ERROR_DRAINING: _ClassVar[ReplyError]
    REPLY_ERROR_INTERNAL: _ClassVar[ReplyError]
    REPLY_ERROR_ADDRESS_REFUSED: _ClassVar[ReplyError]
SESSION_MODE_UNSPECIFIED: SessionMode
SESSION_MODE_BRIDGE: SessionMode
SESSION_MODE_ECHO: SessionMode
REPLY_ERROR_UNSPECIFIED: ReplyError
REPLY_ERROR_STALE_EPOCH: ReplyError
REPLY_ERROR_UNKNOWN_SESSION: ReplyError
REPLY_ERROR_PORTS_EXHAUSTED: ReplyError
REPLY_ERROR_INVALID: ReplyError
REPLY_ERROR_DRAINING: ReplyError
REPLY_ERROR_INTERNAL: ReplyError
REPLY_ERROR_ADDRESS_REFUSED: ReplyError

class CommandBatch(_message.Message):
    __slots__ = ("instance_id", "commands")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    commands: _containers.RepeatedCompositeFieldContainer[Command]
    def __init__(self, instance_id: _Optional[str] = ..., commands: _Optional[_Iterable[_Union[Command, _Mapping]]] = ...) -> None: ...

class ReplyBatch(_message.Message):
    __slots__ = ("instance_id", "replies", "events", "sessions", "draining", "heartbeat_ms")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_MS_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    replies: _containers.RepeatedCompositeFieldContainer[Reply]
    events: _containers.RepeatedCompositeFieldContainer[MediaEvent]
    sessions: int
    draining: bool
    heartbeat_ms: int
    def __init__(self, instance_id: _Optional[str] = ..., replies: _Optional[_Iterable[_Union[Reply, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[MediaEvent, _Mapping]]] = ..., sessions: _Optional[int] = ..., draining: _Optional[bool] = ..., heartbeat_ms: _Optional[int] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("id", "session_id", "epoch", "open", "update", "close", "apply")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    APPLY_FIELD_NUMBER: _ClassVar[int]
    id: int
    session_id: str
    epoch: int
    open: OpenSession
    update: UpdateSession
    close: CloseSession
    apply: ApplyScene
    def __init__(self, id: _Optional[int] = ..., session_id: _Optional[str] = ..., epoch: _Optional[int] = ..., open: _Optional[_Union[OpenSession, _Mapping]] = ..., update: _Optional[_Union[UpdateSession, _Mapping]] = ..., close: _Optional[_Union[CloseSession, _Mapping]] = ..., apply: _Optional[_Union[ApplyScene, _Mapping]] = ...) -> None: ...

class ApplyScene(_message.Message):
    __slots__ = ("revision", "scene", "may_open")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SCENE_FIELD_NUMBER: _ClassVar[int]
    MAY_OPEN_FIELD_NUMBER: _ClassVar[int]
    revision: int
    scene: bytes
    may_open: bool
    def __init__(self, revision: _Optional[int] = ..., scene: _Optional[bytes] = ..., may_open: _Optional[bool] = ...) -> None: ...

class OpenSession(_message.Message):
    __slots__ = ("mode", "legs", "media_timeout_s")
    MODE_FIELD_NUMBER: _ClassVar[int]
    LEGS_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    mode: SessionMode
    legs: _containers.RepeatedCompositeFieldContainer[LegSpec]
    media_timeout_s: float
    def __init__(self, mode: _Optional[_Union[SessionMode, str]] = ..., legs: _Optional[_Iterable[_Union[LegSpec, _Mapping]]] = ..., media_timeout_s: _Optional[float] = ...) -> None: ...

class UpdateSession(_message.Message):
    __slots__ = ("legs", "media_timeout_s")
    LEGS_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    legs: _containers.RepeatedCompositeFieldContainer[LegSpec]
    media_timeout_s: float
    def __init__(self, legs: _Optional[_Iterable[_Union[LegSpec, _Mapping]]] = ..., media_timeout_s: _Optional[float] = ...) -> None: ...

class CloseSession(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Address(_message.Message):
    __slots__ = ("ip", "port")
    IP_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    ip: str
    port: int
    def __init__(self, ip: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class StreamSpec(_message.Message):
    __slots__ = ("index", "remote", "remote_rtcp", "learn_from", "active", "clock_rate", "sdes")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REMOTE_FIELD_NUMBER: _ClassVar[int]
    REMOTE_RTCP_FIELD_NUMBER: _ClassVar[int]
    LEARN_FROM_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    CLOCK_RATE_FIELD_NUMBER: _ClassVar[int]
    SDES_FIELD_NUMBER: _ClassVar[int]
    index: int
    remote: Address
    remote_rtcp: Address
    learn_from: _containers.RepeatedScalarFieldContainer[str]
    active: bool
    clock_rate: int
    sdes: Sdes
    def __init__(self, index: _Optional[int] = ..., remote: _Optional[_Union[Address, _Mapping]] = ..., remote_rtcp: _Optional[_Union[Address, _Mapping]] = ..., learn_from: _Optional[_Iterable[str]] = ..., active: _Optional[bool] = ..., clock_rate: _Optional[int] = ..., sdes: _Optional[_Union[Sdes, _Mapping]] = ...) -> None: ...

class Sdes(_message.Message):
    __slots__ = ("ours", "theirs")
    OURS_FIELD_NUMBER: _ClassVar[int]
    THEIRS_FIELD_NUMBER: _ClassVar[int]
    ours: SrtpKey
    theirs: SrtpKey
    def __init__(self, ours: _Optional[_Union[SrtpKey, _Mapping]] = ..., theirs: _Optional[_Union[SrtpKey, _Mapping]] = ...) -> None: ...

class SrtpKey(_message.Message):
    __slots__ = ("suite", "key", "salt")
    SUITE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    suite: str
    key: bytes
    salt: bytes
    def __init__(self, suite: _Optional[str] = ..., key: _Optional[bytes] = ..., salt: _Optional[bytes] = ...) -> None: ...

class LegSpec(_message.Message):
    __slots__ = ("leg", "streams")
    LEG_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    leg: str
    streams: _containers.RepeatedCompositeFieldContainer[StreamSpec]
    def __init__(self, leg: _Optional[str] = ..., streams: _Optional[_Iterable[_Union[StreamSpec, _Mapping]]] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("id", "session_id", "ok", "error", "detail", "legs", "stats")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    LEGS_FIELD_NUMBER: _ClassVar[int]
    STATS_FIELD_NUMBER: _ClassVar[int]
    id: int
    session_id: str
    ok: bool
    error: ReplyError
    detail: str
    legs: _containers.RepeatedCompositeFieldContainer[LegPorts]
    stats: _containers.RepeatedCompositeFieldContainer[StreamStats]
    def __init__(self, id: _Optional[int] = ..., session_id: _Optional[str] = ..., ok: _Optional[bool] = ..., error: _Optional[_Union[ReplyError, str]] = ..., detail: _Optional[str] = ..., legs: _Optional[_Iterable[_Union[LegPorts, _Mapping]]] = ..., stats: _Optional[_Iterable[_Union[StreamStats, _Mapping]]] = ...) -> None: ...

class LegPorts(_message.Message):
    __slots__ = ("leg", "streams")
    LEG_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    leg: str
    streams: _containers.RepeatedCompositeFieldContainer[LocalStream]
    def __init__(self, leg: _Optional[str] = ..., streams: _Optional[_Iterable[_Union[LocalStream, _Mapping]]] = ...) -> None: ...

class LocalStream(_message.Message):
    __slots__ = ("index", "ip", "rtp_port", "rtcp_port")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    RTP_PORT_FIELD_NUMBER: _ClassVar[int]
    RTCP_PORT_FIELD_NUMBER: _ClassVar[int]
    index: int
    ip: str
    rtp_port: int
    rtcp_port: int
    def __init__(self, index: _Optional[int] = ..., ip: _Optional[str] = ..., rtp_port: _Optional[int] = ..., rtcp_port: _Optional[int] = ...) -> None: ...

class StreamStats(_message.Message):
    __slots__ = ("leg", "index", "packets_received", "bytes_received", "packets_sent", "bytes_sent", "lost", "jitter_ms", "rtcp_received", "rejected", "last_packet_age_s", "send_failed", "bad_auth")
    LEG_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    PACKETS_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    BYTES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    PACKETS_SENT_FIELD_NUMBER: _ClassVar[int]
    BYTES_SENT_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    JITTER_MS_FIELD_NUMBER: _ClassVar[int]
    RTCP_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    LAST_PACKET_AGE_S_FIELD_NUMBER: _ClassVar[int]
    SEND_FAILED_FIELD_NUMBER: _ClassVar[int]
    BAD_AUTH_FIELD_NUMBER: _ClassVar[int]
    leg: str
    index: int
    packets_received: int
    bytes_received: int
    packets_sent: int
    bytes_sent: int
    lost: int
    jitter_ms: float
    rtcp_received: int
    rejected: int
    last_packet_age_s: float
    send_failed: int
    bad_auth: int
    def __init__(self, leg: _Optional[str] = ..., index: _Optional[int] = ..., packets_received: _Optional[int] = ..., bytes_received: _Optional[int] = ..., packets_sent: _Optional[int] = ..., bytes_sent: _Optional[int] = ..., lost: _Optional[int] = ..., jitter_ms: _Optional[float] = ..., rtcp_received: _Optional[int] = ..., rejected: _Optional[int] = ..., last_packet_age_s: _Optional[float] = ..., send_failed: _Optional[int] = ..., bad_auth: _Optional[int] = ...) -> None: ...

class MediaEvent(_message.Message):
    __slots__ = ("session_id", "timed_out", "lost")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TIMED_OUT_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    timed_out: MediaTimedOut
    lost: SessionLost
    def __init__(self, session_id: _Optional[str] = ..., timed_out: _Optional[_Union[MediaTimedOut, _Mapping]] = ..., lost: _Optional[_Union[SessionLost, _Mapping]] = ...) -> None: ...

class MediaTimedOut(_message.Message):
    __slots__ = ("leg", "is_other_heard")
    LEG_FIELD_NUMBER: _ClassVar[int]
    IS_OTHER_HEARD_FIELD_NUMBER: _ClassVar[int]
    leg: str
    is_other_heard: bool
    def __init__(self, leg: _Optional[str] = ..., is_other_heard: _Optional[bool] = ...) -> None: ...

class SessionLost(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...
