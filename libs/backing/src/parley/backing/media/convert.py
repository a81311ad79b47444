"""Media commands, replies and events to protobuf and back.

Parsing is total: what an unknown peer may send either becomes a value or raises `ValueError`.
"""

from collections.abc import Iterable

from parley.model.media import (
    Address,
    ApplyScene,
    CloseSession,
    Command,
    LegPorts,
    LegSpec,
    LocalStream,
    MediaEvent,
    MediaTimedOut,
    OpenSession,
    Reply,
    ReplyError,
    SessionLost,
    SessionMode,
    StreamSpec,
    StreamStats,
    UpdateSession,
)
from parley.model.scene import Sdes, SrtpKey, decode_scene
from parley.rpc.media.v1 import media_pb2 as pb

_MODE_TO_PB = {
    SessionMode.BRIDGE: pb.SESSION_MODE_BRIDGE,
    SessionMode.ECHO: pb.SESSION_MODE_ECHO,
}
_MODE_FROM_PB = {value: mode for mode, value in _MODE_TO_PB.items()}
_ERROR_TO_PB = {
    ReplyError.STALE_EPOCH: pb.REPLY_ERROR_STALE_EPOCH,
    ReplyError.UNKNOWN_SESSION: pb.REPLY_ERROR_UNKNOWN_SESSION,
    ReplyError.PORTS_EXHAUSTED: pb.REPLY_ERROR_PORTS_EXHAUSTED,
    ReplyError.INVALID: pb.REPLY_ERROR_INVALID,
    ReplyError.DRAINING: pb.REPLY_ERROR_DRAINING,
    ReplyError.INTERNAL: pb.REPLY_ERROR_INTERNAL,
    ReplyError.ADDRESS_REFUSED: pb.REPLY_ERROR_ADDRESS_REFUSED,
}
_ERROR_FROM_PB = {value: error for error, value in _ERROR_TO_PB.items()}


def command_to_pb(number: int, command: Command) -> pb.Command:
    """Packs a command; `number` comes back with the reply."""
    message = pb.Command(id=number, session_id=command.session_id, epoch=command.epoch)
    match command:
        case OpenSession():
            message.open.mode = _MODE_TO_PB[command.mode]
            message.open.legs.extend(map(_leg_to_pb, command.legs))
            message.open.media_timeout_s = command.media_timeout_s
        case UpdateSession():
            message.update.SetInParent()
            message.update.legs.extend(map(_leg_to_pb, command.legs))
            if command.media_timeout_s is not None:
                message.update.media_timeout_s = command.media_timeout_s
        case ApplyScene():
            message.apply.revision = command.revision
            message.apply.scene = command.scene.encode()
            message.apply.may_open = command.may_open
        case CloseSession():
            message.close.SetInParent()
    return message


def command_from_pb(message: pb.Command) -> Command:
    """Unpacks a command.

    Raises:
        ValueError: it is none that this version knows.
    """
    session_id, epoch = message.session_id, message.epoch
    match message.WhichOneof("body"):
        case "open":
            opened = message.open
            mode = _MODE_FROM_PB.get(opened.mode)
            if mode is None:
                raise ValueError(f"session mode {opened.mode} is not known")
            legs = _legs_from_pb(opened.legs)
            return OpenSession(session_id, epoch, mode, legs, opened.media_timeout_s)
        case "update":
            update = message.update
            timeout = update.media_timeout_s if update.HasField("media_timeout_s") else None
            return UpdateSession(session_id, epoch, _legs_from_pb(update.legs), timeout)
        case "apply":
            applied = message.apply
            scene = decode_scene(applied.scene)
            return ApplyScene(session_id, epoch, applied.revision, scene, applied.may_open)
        case "close":
            return CloseSession(session_id, epoch)
        case _:
            raise ValueError("the command is none of open, update, apply, close")


def reply_to_pb(number: int, reply: Reply) -> pb.Reply:
    """Packs the reply to the command of that number."""
    return pb.Reply(
        id=number,
        session_id=reply.session_id,
        ok=reply.ok,
        error=None if reply.error is None else _ERROR_TO_PB[reply.error],
        detail=reply.detail,
        legs=map(_ports_to_pb, reply.legs),
        stats=map(_stats_to_pb, reply.stats),
    )


def reply_from_pb(message: pb.Reply, relay: str) -> Reply:
    """Unpacks a reply that came from the relay of that name."""
    error = None if message.ok else _ERROR_FROM_PB.get(message.error, ReplyError.INTERNAL)
    return Reply(
        session_id=message.session_id,
        ok=message.ok,
        error=error,
        detail=message.detail,
        legs=[_ports_from_pb(leg) for leg in message.legs],
        stats=[_stats_from_pb(stats) for stats in message.stats],
        relay=relay,
    )


def event_to_pb(event: MediaTimedOut | SessionLost) -> pb.MediaEvent:
    """Packs an event of a relay."""
    message = pb.MediaEvent(session_id=event.session_id)
    match event:
        case MediaTimedOut(leg=leg, is_other_heard=is_other_heard):
            message.timed_out.SetInParent()
            message.timed_out.leg = leg
            message.timed_out.is_other_heard = is_other_heard
        case SessionLost(reason=reason):
            message.lost.SetInParent()
            message.lost.reason = reason
    return message


def event_from_pb(message: pb.MediaEvent, relay: str) -> MediaEvent | None:
    """Unpacks an event of the relay of that name; None for a kind that only a newer one knows."""
    match message.WhichOneof("body"):
        case "timed_out":
            said = message.timed_out
            return MediaTimedOut(message.session_id, said.leg, said.is_other_heard)
        case "lost":
            return SessionLost(message.session_id, message.lost.reason, relay)
        case _:
            return None


def _leg_to_pb(leg: LegSpec) -> pb.LegSpec:
    return pb.LegSpec(leg=leg.leg, streams=map(_stream_to_pb, leg.streams))


def _stream_to_pb(stream: StreamSpec) -> pb.StreamSpec:
    return pb.StreamSpec(
        index=stream.index,
        remote=_address_to_pb(stream.remote),
        remote_rtcp=_address_to_pb(stream.remote_rtcp),
        learn_from=stream.learn_from,
        active=stream.active,
        clock_rate=stream.clock_rate,
        sdes=_sdes_to_pb(stream.sdes),
    )


def _sdes_to_pb(sdes: Sdes | None) -> pb.Sdes | None:
    return (
        None
        if sdes is None
        else pb.Sdes(ours=_key_to_pb(sdes.ours), theirs=_key_to_pb(sdes.theirs))
    )


def _key_to_pb(key: SrtpKey) -> pb.SrtpKey:
    return pb.SrtpKey(suite=key.suite, key=key.key, salt=key.salt)


def _address_to_pb(address: Address | None) -> pb.Address | None:
    return None if address is None else pb.Address(ip=address.ip, port=address.port)


def _legs_from_pb(legs: Iterable[pb.LegSpec]) -> list[LegSpec]:
    return [LegSpec(leg.leg, [_stream_from_pb(stream) for stream in leg.streams]) for leg in legs]


def _stream_from_pb(stream: pb.StreamSpec) -> StreamSpec:
    return StreamSpec(
        index=stream.index,
        remote=_address_from_pb(stream.remote) if stream.HasField("remote") else None,
        remote_rtcp=(
            _address_from_pb(stream.remote_rtcp) if stream.HasField("remote_rtcp") else None
        ),
        learn_from=list(stream.learn_from),
        active=stream.active,
        clock_rate=stream.clock_rate,
        sdes=_sdes_from_pb(stream.sdes) if stream.HasField("sdes") else None,
    )


def _sdes_from_pb(sdes: pb.Sdes) -> Sdes:
    return Sdes(_key_from_pb(sdes.ours), _key_from_pb(sdes.theirs))


def _key_from_pb(key: pb.SrtpKey) -> SrtpKey:
    return SrtpKey(key.suite, key.key, key.salt)


def _address_from_pb(address: pb.Address) -> Address:
    return Address(address.ip, address.port)


def _ports_to_pb(leg: LegPorts) -> pb.LegPorts:
    streams = (
        pb.LocalStream(index=s.index, ip=s.ip, rtp_port=s.rtp_port, rtcp_port=s.rtcp_port)
        for s in leg.streams
    )
    return pb.LegPorts(leg=leg.leg, streams=streams)


def _ports_from_pb(leg: pb.LegPorts) -> LegPorts:
    streams = [LocalStream(s.index, s.ip, s.rtp_port, s.rtcp_port) for s in leg.streams]
    return LegPorts(leg.leg, streams)


_STATS_FIELDS = tuple(name for name in StreamStats.__struct_fields__ if name != "last_packet_age_s")


def _stats_to_pb(stats: StreamStats) -> pb.StreamStats:
    message = pb.StreamStats(**{name: getattr(stats, name) for name in _STATS_FIELDS})
    if stats.last_packet_age_s is not None:
        message.last_packet_age_s = stats.last_packet_age_s
    return message


def _stats_from_pb(message: pb.StreamStats) -> StreamStats:
    age = message.last_packet_age_s if message.HasField("last_packet_age_s") else None
    values = {name: getattr(message, name) for name in _STATS_FIELDS}
    return StreamStats(**values, last_packet_age_s=age)
