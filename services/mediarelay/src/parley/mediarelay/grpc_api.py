"""The gRPC front: one long-lived stream per call manager, whatever is ready in one message."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc
import structlog

from parley.backing.media.convert import command_from_pb, event_to_pb, reply_to_pb
from parley.mediarelay.owners import Owners
from parley.mediarelay.relay import Relay
from parley.model.ids import InstanceId
from parley.model.media import (
    CloseSession,
    Command,
    MediaEvent,
    MediaTimedOut,
    Reply,
    ReplyError,
    SessionLost,
)
from parley.rpc.media.v1 import media_pb2 as pb
from parley.rpc.media.v1.media_pb2_grpc import MediaRelayServicer
from parley.service.clock import Clock
from parley.service.tasks import TaskOwner

_logger = structlog.stdlib.get_logger(__name__)

_MAX_UNREAD_REPLIES = 10_000
_TELL_S = 1.0
"""At most one stranger in this time is logged."""


class MediaRelayApi(MediaRelayServicer):
    """Serves `Control` over a relay core."""

    def __init__(
        self,
        relay: Relay,
        clock: Clock,
        instance_id: InstanceId,
        is_proved: Callable[[Any], bool],
        *,
        orphan_timeout_s: float,
        heartbeat_s: float,
    ) -> None:
        """Becomes the one that the relay tells its events.

        Args:
            relay: belongs to someone else.
            clock: for how long call managers are away.
            instance_id: of this run; another one than before means that the sessions are gone.
            is_proved: says of a stream's context whether a call manager opened it.
            orphan_timeout_s: sessions of a call manager that is away, and silent, for longer
                are closed.
            heartbeat_s: every stream says something at least this often.
        """
        self.instance_id = instance_id
        self._relay = relay
        self._clock = clock
        self._is_proved = is_proved
        self._told_at = -_TELL_S
        self._orphan_timeout_s = orphan_timeout_s
        self._heartbeat_s = heartbeat_s
        self._heartbeat_ms = max(1, round(heartbeat_s * 1000))
        self._owners = Owners()
        self._streams: set[_Stream] = set()
        self._tasks = TaskOwner()
        relay.on_event(self._on_event)

    def start(self) -> None:
        """Begins to give signs of life and to look for orphans."""
        self._tasks.spawn(self._beat(), name="media relay heartbeat")
        self._tasks.spawn(self._sweep_for_ever(), name="media relay looks for orphans")

    async def aclose(self) -> None:
        """Stops to look for orphans and to read commands; may be repeated."""
        await self._tasks.aclose()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            self.announce()

    async def Control(
        self, request_iterator: AsyncIterator[pb.CommandBatch], context: Any
    ) -> AsyncIterator[pb.ReplyBatch]:
        """Serves one stream until either side ends it; a stranger's is refused at once."""
        if not self._is_proved(context):
            now = self._clock.now()
            if now - self._told_at >= _TELL_S:
                self._told_at = now
                _logger.warning("control stream of a stranger refused", peer=context.peer())
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "not a call manager")
        stream = _Stream()
        reader = self._tasks.spawn(self._read(stream, request_iterator), name="control stream")
        self._streams.add(stream)
        try:
            while await stream.wait():
                yield pb.ReplyBatch(**stream.take(), **self._header())
        finally:
            reader.cancel()
            self._streams.discard(stream)
            self._owners.detach(stream.peer, stream.put_event, self._clock.now())

    @property
    def streams(self) -> int:
        """Streams open now."""
        return len(self._streams)

    def announce(self) -> None:
        """Tells every call manager how the relay is now, `is_draining` above all."""
        for stream in self._streams:
            stream.wake()

    async def _read(self, stream: "_Stream", batches: AsyncIterator[pb.CommandBatch]) -> None:
        try:
            async for batch in batches:
                if not batch.instance_id:
                    _logger.warning("control stream without an instance id refused")
                    return
                self._attach(stream, batch.instance_id)
                stream.put_replies(self.execute(stream.peer, batch.commands))
                await stream.has_room()
        finally:
            stream.end()

    def _attach(self, stream: "_Stream", instance: str) -> None:
        if instance != stream.peer:
            self._owners.detach(stream.peer, stream.put_event, self._clock.now())
            stream.peer = instance
            self._owners.attach(instance, stream.put_event)

    def execute(self, instance: str, messages: Iterable[pb.Command]) -> list[pb.Reply]:
        """Carries out a batch of an attached instance; the replies in the order of its commands."""
        numbers: list[int] = []
        commands: list[Command] = []
        refused: list[pb.Reply] = []
        for message in messages:
            try:
                commands.append(command_from_pb(message))
                numbers.append(message.id)
            except ValueError as error:
                reply = Reply(message.session_id, False, ReplyError.INVALID, str(error))
                refused.append(reply_to_pb(message.id, reply))
        replies = self._relay.execute(commands) if commands else []
        for command, reply in zip(commands, replies, strict=True):
            self._note_owner(instance, command, reply)
        return refused + [reply_to_pb(n, r) for n, r in zip(numbers, replies, strict=True)]

    def _header(self) -> dict[str, Any]:
        """What every batch says of the relay."""
        return {
            "instance_id": self.instance_id,
            "sessions": self._relay.sessions,
            "draining": not self._relay.takes_sessions,
            "heartbeat_ms": self._heartbeat_ms,
        }

    def sweep(self) -> None:
        """Closes the sessions that nobody commands and nobody talks through."""
        for session_id in self._owners.orphans(self._clock.now(), self._orphan_timeout_s):
            if self._relay.is_silent(session_id, self._orphan_timeout_s):
                _logger.warning("orphaned session closed", session_id=session_id)
                self._relay.drop(session_id, "its call manager is gone")

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._orphan_timeout_s / 4)
            self.sweep()

    def _note_owner(self, instance: str, command: Command, reply: Reply) -> None:
        if not reply.ok:
            return
        if isinstance(command, CloseSession):
            self._owners.forget(command.session_id)
        else:
            self._owners.take(command.session_id, instance)

    def _on_event(self, event: MediaEvent) -> None:
        self._owners.tell(event)
        if isinstance(event, SessionLost):
            self._owners.forget(event.session_id)


class _Stream:
    """One open stream: what is put into it during a tick leaves in one batch.

    Attributes:
        peer: instance id of the call manager, empty before its first batch.
    """

    def __init__(self) -> None:
        self.peer = ""
        self._replies: list[pb.Reply] = []
        self._events: list[pb.MediaEvent] = []
        self._has_ended = False
        self._awake = asyncio.Event()
        self._awake.set()  # The relay speaks first.
        self._room = asyncio.Event()
        self._room.set()

    def put_replies(self, replies: list[pb.Reply]) -> None:
        if replies:
            self._replies += replies
            self._awake.set()
            if len(self._replies) > _MAX_UNREAD_REPLIES:
                self._room.clear()

    def put_event(self, event: MediaEvent) -> None:
        if isinstance(event, MediaTimedOut | SessionLost):
            self._events.append(event_to_pb(event))
            self._awake.set()

    def wake(self) -> None:
        self._awake.set()

    def end(self) -> None:
        self._has_ended = True
        self._awake.set()

    async def has_room(self) -> None:
        """Waits while a peer that sends commands does not read the replies."""
        await self._room.wait()

    async def wait(self) -> bool:
        """Waits until there is something to send; False once the peer has ended."""
        await self._awake.wait()
        self._awake.clear()
        return not self._has_ended

    def take(self) -> dict[str, Any]:
        """Empties the stream into the fields of a batch."""
        taken = {"replies": self._replies, "events": self._events}
        self._replies, self._events = [], []
        self._room.set()
        return taken
