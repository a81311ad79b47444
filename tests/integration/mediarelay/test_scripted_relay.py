"""The client side against a relay that does what the test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest

from parley.backing.media.base import MediaUnavailable
from parley.backing.media.grpc import GrpcMediaControl
from parley.backing.media.times import MediaTimes
from parley.model.media import (
    CloseSession,
    MediaEvent,
    OpenSession,
    Reply,
    SessionLost,
    UpdateSession,
)
from parley.rpc.media.v1 import media_pb2 as pb
from parley.rpc.media.v1.media_pb2_grpc import MediaRelayServicer, add_MediaRelayServicer_to_server


class ScriptedRelay(MediaRelayServicer):
    """Records batches; sends what it is told."""

    def __init__(self) -> None:
        self.heartbeat_ms = 0
        self.batches: asyncio.Queue[pb.CommandBatch] = asyncio.Queue()
        self.outgoing: asyncio.Queue[pb.ReplyBatch | None] = asyncio.Queue()

    async def Control(
        self, request_iterator: AsyncIterator[pb.CommandBatch], context: object
    ) -> AsyncIterator[pb.ReplyBatch]:
        reader = asyncio.ensure_future(self._read(request_iterator))
        try:
            yield pb.ReplyBatch(instance_id="relay-1", heartbeat_ms=self.heartbeat_ms)
            while (batch := await self.outgoing.get()) is not None:
                yield batch
        finally:
            reader.cancel()

    async def _read(self, batches: AsyncIterator[pb.CommandBatch]) -> None:
        async for batch in batches:
            if batch.commands:
                self.batches.put_nowait(batch)

    async def next_batch(self) -> list[tuple[str, str]]:
        self.last = await asyncio.wait_for(self.batches.get(), 3)
        return [(str(c.WhichOneof("body")), c.session_id) for c in self.last.commands]

    def accept(self, heartbeat_ms: int = 0) -> None:
        replies = [pb.Reply(id=c.id, session_id=c.session_id, ok=True) for c in self.last.commands]
        self.outgoing.put_nowait(
            pb.ReplyBatch(instance_id="relay-1", replies=replies, heartbeat_ms=heartbeat_ms)
        )

    def refuse(self, error: pb.ReplyError) -> None:
        replies = [
            pb.Reply(id=c.id, session_id=c.session_id, error=error) for c in self.last.commands
        ]
        self.outgoing.put_nowait(pb.ReplyBatch(instance_id="relay-1", replies=replies))

    def hang_up(self) -> None:
        self.outgoing.put_nowait(None)


@pytest.fixture
async def relay() -> AsyncIterator[ScriptedRelay]:
    relay = ScriptedRelay()
    yield relay


Serve = Callable[[ScriptedRelay], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Puts relays on ports of their own; returns their addresses."""
    async with AsyncExitStack() as stack:

        async def start(relay: ScriptedRelay) -> str:
            server = grpc.aio.server()
            add_MediaRelayServicer_to_server(relay, server)
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            stack.push_async_callback(server.stop, None)
            return f"127.0.0.1:{port}"

        yield start


@pytest.fixture
async def address(serve: Serve, relay: ScriptedRelay) -> str:
    return await serve(relay)


Connect = Callable[..., Awaitable[GrpcMediaControl]]


@pytest.fixture
async def connect(address: str) -> AsyncIterator[Connect]:
    """Connects a call manager to the relay, and to further ones."""
    async with AsyncExitStack() as stack:

        async def make(*others: str, **times: Any) -> GrpcMediaControl:
            known = MediaTimes(**{"command_s": 5.0, "lost_after_s": 5.0, **times})
            control = GrpcMediaControl([address, *others], "cm-1", times=known)
            stack.push_async_callback(control.aclose)
            await control.start()
            async with asyncio.timeout(5):
                await control.wait_all_up()
            return control

        yield make


@pytest.fixture
async def control(connect: Connect) -> GrpcMediaControl:
    return await connect()


def ask(
    control: GrpcMediaControl, command: OpenSession | UpdateSession | CloseSession
) -> asyncio.Future[Reply]:
    return asyncio.ensure_future(control.execute(command))


async def opened(
    relay: ScriptedRelay,
    control: GrpcMediaControl,
    *sessions: str,
    epoch: int = 1,
    heartbeat_ms: int = 0,
) -> None:
    """Opens sessions."""
    opening = [ask(control, OpenSession(each, epoch)) for each in sessions]
    await relay.next_batch()
    relay.accept(heartbeat_ms)
    await asyncio.wait_for(asyncio.gather(*opening), 5)


async def test_commands_of_one_tick_leave_in_one_batch(
    relay: ScriptedRelay, control: GrpcMediaControl
) -> None:
    waiting = [ask(control, OpenSession(f"s{n}", 1)) for n in range(20)]
    assert await relay.next_batch() == [("open", f"s{n}") for n in range(20)]
    relay.accept()
    replies = await asyncio.wait_for(asyncio.gather(*waiting), 3)
    assert all(reply.ok for reply in replies)
    assert relay.batches.empty()


async def test_ends_of_sessions_wait_for_each_other_and_go_with_whatever_leaves(
    relay: ScriptedRelay, control: GrpcMediaControl
) -> None:
    await opened(relay, control, *"stu")
    ends = [ask(control, CloseSession("s", 1))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    ends.append(ask(control, CloseSession("t", 1)))
    assert await relay.next_batch() == [("close", "s"), ("close", "t")]
    relay.accept()
    await asyncio.wait_for(asyncio.gather(*ends), 3)
    last = [ask(control, CloseSession("u", 1)), ask(control, OpenSession("v", 1))]
    assert await relay.next_batch() == [("close", "u"), ("open", "v")]
    relay.accept()
    await asyncio.wait_for(asyncio.gather(*last), 3)


async def test_a_command_without_an_answer_in_time_fails_and_its_session_is_closed(
    relay: ScriptedRelay, connect: Connect
) -> None:
    control = await connect(command_s=0.05)
    with pytest.raises(MediaUnavailable, match="in time"):
        await control.execute(OpenSession("s", 4))
    assert await relay.next_batch() == [("open", "s")]
    relay.accept()  # Too late, and harmless.
    assert await relay.next_batch() == [("close", "s")]
    assert relay.last.commands[0].epoch == 4


async def test_a_change_that_is_pending_when_the_stream_dies_fails(
    relay: ScriptedRelay, control: GrpcMediaControl
) -> None:
    update = ask(control, UpdateSession("t", 1))
    await relay.next_batch()
    relay.hang_up()
    with pytest.raises(MediaUnavailable, match="went away"):
        await asyncio.wait_for(update, 3)


async def test_an_opening_that_the_stream_dies_over_is_undone_and_asked_for_on_the_next(
    relay: ScriptedRelay, control: GrpcMediaControl
) -> None:
    opening = ask(control, OpenSession("s", 1))
    await relay.next_batch()
    relay.hang_up()
    # The old one may have been opened before the stream died: it is closed before the new one.
    asked = await relay.next_batch()
    while ("open", "s") not in asked:
        relay.accept()
        asked += await relay.next_batch()
    assert asked == [("close", "s"), ("open", "s")]
    relay.accept()
    assert (await asyncio.wait_for(opening, 3)).ok


async def test_an_open_session_is_not_undone_by_an_open_that_was_repeated_in_vain(
    relay: ScriptedRelay, control: GrpcMediaControl
) -> None:
    await opened(relay, control, "s")
    again = ask(control, OpenSession("s", 1))
    await relay.next_batch()
    relay.hang_up()
    with pytest.raises(MediaUnavailable):
        await asyncio.wait_for(again, 3)
    async with asyncio.timeout(5):
        await control.wait_all_up()
    closing = ask(control, CloseSession("s", 1))
    assert await relay.next_batch() == [("close", "s")]
    relay.accept()
    assert (await asyncio.wait_for(closing, 3)).ok


async def test_sessions_are_kept_when_the_same_relay_is_back(
    relay: ScriptedRelay, control: GrpcMediaControl, address: str
) -> None:
    events: list[object] = []
    control.on_event(events.append)
    await opened(relay, control, "s")
    relay.hang_up()
    async with asyncio.timeout(5):
        await control.wait_changed()
        await control.wait_all_up()
    assert events == []
    lost = pb.MediaEvent(session_id="s", lost=pb.SessionLost(reason="why"))
    unknown = pb.MediaEvent(session_id="s")
    batch = pb.ReplyBatch(instance_id="relay-1", events=[unknown, lost])
    relay.outgoing.put_nowait(batch)
    update = ask(control, UpdateSession("s", 1))
    await relay.next_batch()
    relay.accept()
    await asyncio.wait_for(update, 3)
    assert events == [SessionLost("s", "why", address)]


async def test_a_relay_that_breaks_its_promise_of_heartbeats_is_dead(
    relay: ScriptedRelay, connect: Connect, address: str
) -> None:
    relay.heartbeat_ms = 10
    control = await connect(silent_after_s=0.3)
    lost: asyncio.Queue[MediaEvent] = asyncio.Queue()
    control.on_event(lost.put_nowait)
    await opened(relay, control, "s", epoch=3, heartbeat_ms=10)
    event = await asyncio.wait_for(lost.get(), 3)
    assert isinstance(event, SessionLost)
    assert (event.session_id, event.relay) == ("s", address)
    # It was only frozen: what it still has is closed, under the epoch that it was opened with.
    assert await relay.next_batch() == [("close", "s")]
    assert relay.last.commands[0].epoch == 3


async def test_a_relay_that_promised_nothing_may_be_silent(
    relay: ScriptedRelay, connect: Connect
) -> None:
    control = await connect(silent_after_s=0.02)
    opening = ask(control, OpenSession("s", 1))
    await relay.next_batch()
    await asyncio.sleep(0.2)
    relay.accept()
    assert (await asyncio.wait_for(opening, 3)).ok


async def test_lost_sessions_are_told_a_batch_at_a_time(
    relay: ScriptedRelay, connect: Connect
) -> None:
    relay.heartbeat_ms = 10
    control = await connect(silent_after_s=0.3, batch_pause_s=1.0)
    told: list[float] = []
    loop = asyncio.get_running_loop()
    control.on_event(lambda event: told.append(loop.time()))
    await opened(relay, control, *(f"s{n}" for n in range(250)), heartbeat_ms=10)
    async with asyncio.timeout(5):
        while len(told) < 250:  # noqa: ASYNC110 - the callback has no event
            await asyncio.sleep(0.005)
    assert told[99] - told[0] < 0.5
    assert told[100] - told[99] > 0.9
    assert told[200] - told[199] > 0.9


async def test_events_of_a_session_that_was_closed_are_not_told(
    relay: ScriptedRelay, control: GrpcMediaControl
) -> None:
    events: list[object] = []
    control.on_event(events.append)
    await opened(relay, control, "s")
    closing = ask(control, CloseSession("s", 1))
    await relay.next_batch()
    late = pb.MediaEvent(session_id="s", timed_out=pb.MediaTimedOut(leg="a"))
    relay.outgoing.put_nowait(pb.ReplyBatch(instance_id="relay-1", events=[late]))
    relay.accept()
    assert (await asyncio.wait_for(closing, 3)).ok
    assert events == []


@pytest.mark.parametrize("error", [None, pb.REPLY_ERROR_INTERNAL, pb.REPLY_ERROR_PORTS_EXHAUSTED])
async def test_a_relay_that_dies_or_fails_over_an_opening_is_not_the_last_to_be_asked(
    relay: ScriptedRelay, serve: Serve, connect: Connect, error: pb.ReplyError | None
) -> None:
    second = ScriptedRelay()
    control = await connect(await serve(second), lost_after_s=0.3)
    opening = ask(control, OpenSession("s", 1))
    async with asyncio.timeout(5):
        while relay.batches.empty() and second.batches.empty():  # noqa: ASYNC110 - two queues
            await asyncio.sleep(0.001)
    asked, left = (second, relay) if relay.batches.empty() else (relay, second)
    await asked.next_batch()
    if error is None:
        asked.hang_up()
    else:
        asked.refuse(error)
    assert await left.next_batch() == [("open", "s")]
    left.accept()
    assert (await asyncio.wait_for(opening, 3)).ok
    if error is None:
        # The first one may have opened it before it went: it closes it when it is back.
        assert await asked.next_batch() == [("close", "s")]


async def test_without_any_relay_commands_fail_at_once() -> None:
    control = GrpcMediaControl(["127.0.0.1:1"], "cm-1")
    with pytest.raises(MediaUnavailable):
        await control.execute(OpenSession("s", 1))
    await control.start()
    await asyncio.sleep(0)
    await control.aclose()
