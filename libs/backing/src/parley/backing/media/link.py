"""One relay at the other end of a gRPC stream.

Commands issued in one tick of the loop leave in one batch; the ends of sessions wait a moment for
others. A stream that ends fails what was
pending and is opened again: at once, then with back-off. What may have been opened by a command
whose reply never came, and what was lost and may live on elsewhere, is closed as soon as the relay
can be told.

A relay is dead, and its sessions are lost, when its stream ended and a new one is refused or not
taken for a moment, when it comes back as another instance, or when it promised heartbeats and
falls silent. The last may be wrong (a frozen process, a network that heals): its sessions are
closed there when it is back.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import grpc
import structlog

from parley.backing.media.base import MediaEventCallback, MediaUnavailable
from parley.backing.media.convert import command_to_pb, event_from_pb, reply_from_pb
from parley.backing.media.times import MediaTimes
from parley.backing.media.traffic import Traffic
from parley.backing.media.trust import Dialler
from parley.model.media import CloseSession, Command, Reply, SessionLost, may_open
from parley.rpc.media.v1 import media_pb2 as pb
from parley.rpc.media.v1.media_pb2_grpc import MediaRelayStub

_logger = structlog.stdlib.get_logger(__name__)

_Call: TypeAlias = "grpc.aio.StreamStreamCall[pb.CommandBatch, pb.ReplyBatch]"

OWN_STALL_S: Final = 0.1
"""A timer of ours that is so late says that we stood still, not the relay."""
_WORKED_S: Final = 0.5
"""A stream that ends sooner than this is opened again with back-off."""


class _Silent(Exception):
    """The relay did not keep its promise to say something."""


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
        traffic: what was sent and received, of all links together.
    """

    def __init__(  # noqa: PLR0913 - all of them are the owner's
        self,
        address: str,
        instance_id: str,
        on_event: MediaEventCallback,
        on_lost: Callable[["RelayLink", Sequence[str], str], None],
        on_change: Callable[[], None],
        times: MediaTimes,
        traffic: Traffic,
        dialler: Dialler,
    ) -> None:
        """Prepares; `run` connects.

        Args:
            address: `host:port` of the relay.
            instance_id: ours; sessions belong to it.
            on_event: told of the relay's events.
            on_lost: told of this link, the sessions that are lost with its relay, and why.
            on_change: told when the relay comes, goes, or begins or ends to drain.
            times: how long to wait for what.
            traffic: counts messages, of several links if need be.
            dialler: proves us to the relay.
        """
        self.address = address
        self.traffic = traffic
        self._dialler = dialler
        self.is_up = False
        self.is_draining = False
        self._hello = pb.CommandBatch(instance_id=instance_id)
        self._on_event = on_event
        self._on_lost = on_lost
        self._on_change = on_change
        self._times = times
        self._relay_instance = ""
        self._is_beating = False
        self._heard_at = 0.0
        self._down_since = 0.0
        self._reported = 0
        self._opening = 0
        self._last_number = 0
        self._pending: dict[int, _Pending] = {}
        self._outgoing: list[pb.Command] = []
        self._wake = asyncio.Event()
        self._gathering: asyncio.TimerHandle | None = None
        self._abandoned: dict[str, CloseSession] = {}
        self._closing: dict[int, CloseSession] = {}
        self._sessions: dict[str, int] = {}
        self._loss_timer: asyncio.TimerHandle | None = None

    @property
    def load(self) -> int:
        """Sessions on the relay as far as we know, those we have just asked for included."""
        return self._reported + self._opening

    @property
    def sessions(self) -> list[str]:
        """Sessions of ours on the relay."""
        return list(self._sessions)

    @property
    def is_settled(self) -> bool:
        """The relay is away, and nothing that we would have to close there waits any more."""
        if self.is_up or self._loss_timer is not None or self._pending:
            return False
        away_s = asyncio.get_running_loop().time() - self._down_since
        return not self._abandoned or away_s > self._times.forget_after_s

    def holds(self, session_id: str) -> bool:
        """Whether a session of ours is on the relay."""
        return session_id in self._sessions

    async def request(self, command: Command) -> Reply:
        """Sends a command and waits for its reply.

        Raises:
            MediaUnavailable: the relay is away, went away, or did not answer in time. A session
                that was to be closed is closed when the relay is back.
        """
        if isinstance(command, CloseSession):
            self._sessions.pop(command.session_id, None)
        if not self.is_up:
            if isinstance(command, CloseSession):
                self._abandon(command)
            raise MediaUnavailable(f"the media relay {self.address} is not reachable")
        number = self._send(command)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()
        timer = loop.call_later(self._times.command_s, self._expire, number)
        self._pending[number] = _Pending(command, future, timer)
        self._opening += may_open(command)
        try:
            return await future
        finally:
            # Still there only if the caller gave up.
            if (pending := self._take(number)) is not None:
                self._abandon(pending.command)

    def let_go(self, session_id: str) -> None:
        """Closes a session here that lives on elsewhere, now or when the relay is back."""
        epoch = self._sessions.pop(session_id, None)
        if epoch is not None:
            self._close_unasked(CloseSession(session_id, epoch))

    # --- the stream ------------------------------------------------------------------------

    async def run(self) -> None:
        """Keeps a stream open, until cancelled."""
        pause_s = 0.0
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                was_up = await self._converse()
                # At once after a stream that worked: the answer tells a dead relay from a hiccup.
                has_worked = was_up and loop.time() - began >= _WORKED_S
                pause_s = 0.0 if has_worked else self._longer(pause_s)
                await asyncio.sleep(pause_s)
        finally:
            self._go_down("the connection was closed")
            self._stop_loss_timer()

    def _longer(self, pause_s: float) -> float:
        times = self._times
        return min(max(pause_s * 2, times.first_pause_s), times.longest_pause_s)

    async def _converse(self) -> bool:
        """Serves one stream to its end; whether the relay ever spoke."""
        reason = "the stream was closed here"
        is_dead = was_up = False
        async with self._dialler.open(self.address) as channel:
            call: _Call = MediaRelayStub(channel).Control(
                wait_for_ready=False, metadata=self._dialler.metadata(self.address)
            )
            try:
                async with asyncio.TaskGroup() as tasks:
                    writer = tasks.create_task(self._write(call))
                    watcher = tasks.create_task(self._watch())
                    async for batch in call:
                        was_up = True
                        self._receive(batch)
                    reason = "the relay ended the stream"
                    writer.cancel()
                    watcher.cancel()
            except* grpc.aio.AioRpcError as errors:
                reason = _why(errors)
                # A relay that does not even take a stream is not there any more.
                is_dead = not was_up
            except* _Silent:
                reason = f"it has been silent for {self._times.silent_after_s} s"
                is_dead = True
            except* asyncio.InvalidStateError:
                reason = "the stream had ended"
            finally:
                call.cancel()
                self._go_down(reason)
                if is_dead:
                    self._declare_dead(reason)
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
                self.traffic.messages += 1
                await call.write(batch)

    async def _watch(self) -> None:
        """Raises `_Silent` when a relay that promised heartbeats says nothing for too long."""
        loop = asyncio.get_running_loop()
        limit_s = self._times.silent_after_s
        while True:
            due = (self._heard_at if self._is_beating else loop.time()) + limit_s
            await asyncio.sleep(max(0.0, due - loop.time()))
            if loop.time() - due > OWN_STALL_S:
                # What the relay said meanwhile has not been read yet.
                self._heard_at = loop.time()
            elif self._is_beating and loop.time() - self._heard_at >= limit_s:
                raise _Silent

    def _receive(self, batch: pb.ReplyBatch) -> None:
        self.traffic.received += 1
        self._heard_at = asyncio.get_running_loop().time()
        self._is_beating = batch.heartbeat_ms > 0
        self._reported = batch.sessions
        is_changed = self.is_draining != batch.draining or not self.is_up
        self.is_draining = batch.draining
        if not self.is_up:
            self._go_up(batch.instance_id)
        for reply in batch.replies:
            self._settle(reply)
        if is_changed:
            self._on_change()
        for message in batch.events:
            event = event_from_pb(message, self.address)
            # Of a session that was closed, lost or moved nobody wants to hear any more.
            if event is None or event.session_id not in self._sessions:
                continue
            if isinstance(event, SessionLost):
                del self._sessions[event.session_id]
            self._on_event(event)

    def _go_up(self, relay_instance: str) -> None:
        self.is_up = True
        _logger.info("media relay connected", relay=self.address, instance=relay_instance)
        self._stop_loss_timer()
        if relay_instance != self._relay_instance:
            self._relay_instance = relay_instance
            self._lose_sessions("the media relay was restarted")
            self._abandoned.clear()
        abandoned, self._abandoned = self._abandoned, {}
        for close in abandoned.values():
            self._close_unasked(close)

    def _go_down(self, reason: str) -> None:
        if self.is_up:
            _logger.warning("media relay disconnected", relay=self.address, reason=reason)
            self._loss_timer = asyncio.get_running_loop().call_later(
                self._times.lost_after_s, self._declare_dead, reason
            )
            self.is_up = False
            self._is_beating = False
            self._down_since = asyncio.get_running_loop().time()
            self._on_change()
        self._outgoing.clear()
        self._stop_gathering()
        self._abandoned.update((close.session_id, close) for close in self._closing.values())
        self._closing.clear()
        for number in list(self._pending):
            self._fail(number, f"the media relay {self.address} went away: {reason}")

    def _declare_dead(self, reason: str) -> None:
        self._stop_loss_timer()
        self._lose_sessions(f"the media relay is gone: {reason}")
        self._on_change()

    def _stop_loss_timer(self) -> None:
        if self._loss_timer is not None:
            self._loss_timer.cancel()
            self._loss_timer = None

    def _lose_sessions(self, reason: str) -> None:
        lost, self._sessions = self._sessions, {}
        for session_id, epoch in lost.items():
            self._abandoned[session_id] = CloseSession(session_id, epoch)
        if lost:
            _logger.warning("sessions lost", relay=self.address, count=len(lost), reason=reason)
            self._on_lost(self, list(lost), reason)

    # --- commands --------------------------------------------------------------------------

    def _send(self, command: Command) -> int:
        self._last_number += 1
        self.traffic.commands += 1
        self._outgoing.append(command_to_pb(self._last_number, command))
        if not isinstance(command, CloseSession):
            self._flush()
        elif self._gathering is None:
            loop = asyncio.get_running_loop()
            self._gathering = loop.call_later(self._times.gather_s, self._flush)
        return self._last_number

    def _flush(self) -> None:
        self._stop_gathering()
        self._wake.set()

    def _stop_gathering(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    def _settle(self, message: pb.Reply) -> None:
        self._closing.pop(message.id, None)
        pending = self._take(message.id)
        if pending is None:
            return  # Timed out before, or nobody wanted to know.
        reply = reply_from_pb(message, self.address)
        if reply.ok and not isinstance(pending.command, CloseSession):
            self._sessions[reply.session_id] = pending.command.epoch
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
            self._opening -= may_open(pending.command)
        return pending

    def _abandon(self, command: Command) -> None:
        """Undoes an open, or repeats a close, whose outcome nobody will learn."""
        is_new = may_open(command) and command.session_id not in self._sessions
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
