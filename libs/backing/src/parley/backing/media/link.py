"""One relay at the other end of a gRPC stream.

Commands issued in one tick of the loop leave in one batch. A stream that ends fails what was
pending and is opened again with back-off. What may have been opened by a command whose reply never
came is closed as soon as the relay can be told.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import grpc
import structlog

from parley.backing.media.base import MediaEventCallback, MediaUnavailable
from parley.backing.media.convert import command_to_pb, event_from_pb, reply_from_pb
from parley.model.media import CloseSession, Command, OpenSession, Reply, SessionLost
from parley.rpc.media.v1 import media_pb2 as pb
from parley.rpc.media.v1.media_pb2_grpc import MediaRelayStub

_logger = structlog.stdlib.get_logger(__name__)

_Call: TypeAlias = "grpc.aio.StreamStreamCall[pb.CommandBatch, pb.ReplyBatch]"

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 5000),
    ("grpc.keepalive_timeout_ms", 3000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)


@dataclass(slots=True)
class _Pending:
    command: Command
    future: asyncio.Future[Reply]
    timer: asyncio.TimerHandle


class RelayLink:
    """The stream to one relay.

    Attributes:
        address: `host:port`, also the relay's name in replies.
        is_up: the relay has spoken on the present stream.
        is_draining: it takes no new session.
    """

    def __init__(
        self,
        address: str,
        instance_id: str,
        on_event: MediaEventCallback,
        on_change: Callable[[], None],
        *,
        timeout_s: float,
        lost_after_s: float,
    ) -> None:
        """Prepares; `run` connects.

        Args:
            address: `host:port` of the relay.
            instance_id: ours; sessions belong to it.
            on_event: told of the relay's events and of lost sessions.
            on_change: told when the relay comes, goes, or begins or ends to drain.
            timeout_s: how long a command may wait for its reply.
            lost_after_s: how long the relay may be away before its sessions count as lost.
        """
        self.address = address
        self.is_up = False
        self.is_draining = False
        self._hello = pb.CommandBatch(instance_id=instance_id)
        self._on_event = on_event
        self._on_change = on_change
        self._timeout_s = timeout_s
        self._lost_after_s = lost_after_s
        self._relay_instance = ""
        self._reported = 0
        self._opening = 0
        self._last_number = 0
        self._pending: dict[int, _Pending] = {}
        self._outgoing: list[pb.Command] = []
        self._wake = asyncio.Event()
        self._abandoned: dict[str, CloseSession] = {}
        self._closing: dict[int, CloseSession] = {}
        self._sessions: set[str] = set()
        self._loss_timer: asyncio.TimerHandle | None = None

    @property
    def load(self) -> int:
        """Sessions on the relay as far as we know, those we have just asked for included."""
        return self._reported + self._opening

    async def request(self, command: Command) -> Reply:
        """Sends a command and waits for its reply.

        Raises:
            MediaUnavailable: the relay is away, went away, or did not answer in time.
        """
        if not self.is_up:
            raise MediaUnavailable(f"the media relay {self.address} is not reachable")
        number = self._send(command)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        timer = asyncio.get_running_loop().call_later(self._timeout_s, self._expire, number)
        self._pending[number] = _Pending(command, future, timer)
        self._opening += isinstance(command, OpenSession)
        if isinstance(command, CloseSession):
            self._sessions.discard(command.session_id)
        try:
            return await future
        finally:
            # Still there only if the caller gave up.
            if (pending := self._take(number)) is not None:
                self._abandon(pending.command)

    async def run(self) -> None:
        """Keeps a stream open, until cancelled."""
        pause_s = _FIRST_PAUSE_S
        try:
            async with grpc.aio.insecure_channel(self.address, options=_OPTIONS) as channel:
                while True:
                    was_up = await self._converse(channel)
                    pause_s = _FIRST_PAUSE_S if was_up else min(pause_s * 2, _LONGEST_PAUSE_S)
                    await asyncio.sleep(pause_s)
        finally:
            self._go_down("the connection was closed")
            if self._loss_timer is not None:
                self._loss_timer.cancel()

    async def _converse(self, channel: grpc.aio.Channel) -> bool:
        """Serves one stream to its end; whether the relay ever spoke."""
        call: _Call = MediaRelayStub(channel).Control(wait_for_ready=True)
        reason = "the stream was closed here"
        was_up = False
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write(call))
                async for batch in call:
                    was_up = True
                    self._receive(batch)
                reason = "the relay ended the stream"
                writer.cancel()
        except* grpc.aio.AioRpcError as errors:
            reason = _why(errors)
        except* asyncio.InvalidStateError:
            reason = "the stream had ended"
        finally:
            call.cancel()
            self._go_down(reason)
        return was_up

    async def _write(self, call: _Call) -> None:
        await call.write(self._hello)
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._outgoing:
                batch = pb.CommandBatch(
                    instance_id=self._hello.instance_id, commands=self._outgoing
                )
                self._outgoing = []
                await call.write(batch)

    def _receive(self, batch: pb.ReplyBatch) -> None:
        self._reported = batch.sessions
        is_changed = self.is_draining != batch.draining or not self.is_up
        self.is_draining = batch.draining
        if not self.is_up:
            self._go_up(batch.instance_id)
        if is_changed:
            self._on_change()
        for reply in batch.replies:
            self._settle(reply)
        for message in batch.events:
            event = event_from_pb(message)
            if event is not None:
                self._sessions -= {event.session_id} if isinstance(event, SessionLost) else set()
                self._on_event(event)

    def _go_up(self, relay_instance: str) -> None:
        self.is_up = True
        _logger.info("media relay connected", relay=self.address, instance=relay_instance)
        if self._loss_timer is not None:
            self._loss_timer.cancel()
            self._loss_timer = None
        if relay_instance != self._relay_instance:
            self._relay_instance = relay_instance
            self._abandoned.clear()
            self._lose_sessions("the media relay was restarted")
        abandoned, self._abandoned = self._abandoned, {}
        for close in abandoned.values():
            self._close_unasked(close)

    def _go_down(self, reason: str) -> None:
        if self.is_up:
            _logger.warning("media relay disconnected", relay=self.address, reason=reason)
            self._loss_timer = asyncio.get_running_loop().call_later(
                self._lost_after_s, self._lose_sessions, f"the media relay is gone: {reason}"
            )
            self.is_up = False
            self._on_change()
        self._outgoing.clear()
        self._abandoned.update((close.session_id, close) for close in self._closing.values())
        self._closing.clear()
        for number in list(self._pending):
            self._fail(number, f"the media relay {self.address} went away: {reason}")

    def _lose_sessions(self, reason: str) -> None:
        lost, self._sessions = self._sessions, set()
        for session_id in lost:
            self._on_event(SessionLost(session_id, reason))

    def _send(self, command: Command) -> int:
        self._last_number += 1
        self._outgoing.append(command_to_pb(self._last_number, command))
        self._wake.set()
        return self._last_number

    def _settle(self, message: pb.Reply) -> None:
        self._closing.pop(message.id, None)
        pending = self._take(message.id)
        if pending is None:
            return  # Timed out before, or nobody wanted to know.
        reply = reply_from_pb(message, self.address)
        if reply.ok and not isinstance(pending.command, CloseSession):
            self._sessions.add(reply.session_id)
        if pending.future.cancelled():
            self._abandon(pending.command)
        else:
            pending.future.set_result(reply)

    def _expire(self, number: int) -> None:
        self._fail(number, f"the media relay {self.address} did not answer in time")

    def _fail(self, number: int, reason: str) -> None:
        pending = self._take(number)
        if pending is not None:
            self._abandon(pending.command)
            if not pending.future.done():
                pending.future.set_exception(MediaUnavailable(reason))

    def _take(self, number: int) -> _Pending | None:
        pending = self._pending.pop(number, None)
        if pending is not None:
            pending.timer.cancel()
            self._opening -= isinstance(pending.command, OpenSession)
        return pending

    def _abandon(self, command: Command) -> None:
        """Undoes an open, or repeats a close, whose outcome nobody will learn."""
        is_new = isinstance(command, OpenSession) and command.session_id not in self._sessions
        if is_new or isinstance(command, CloseSession):
            self._close_unasked(CloseSession(command.session_id, command.epoch))

    def _close_unasked(self, close: CloseSession) -> None:
        if self.is_up:
            self._closing[self._send(close)] = close
        else:
            self._abandoned[close.session_id] = close


def _why(errors: BaseExceptionGroup[grpc.aio.AioRpcError]) -> str:
    first = errors.exceptions[0]
    if isinstance(first, BaseExceptionGroup):
        return _why(first)
    return first.details() or first.code().name
