"""The client side against a relay that does what the test says."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from parley.backing.media.base import MediaUnavailable
from parley.backing.media.grpc import GrpcMediaControl
from parley.model.media import CloseSession, OpenSession, Reply, SessionLost, UpdateSession
from parley.rpc.media.v1 import media_pb2 as pb
from parley.rpc.media.v1.media_pb2_grpc import MediaRelayServicer, add_MediaRelayServicer_to_server


class ScriptedRelay(MediaRelayServicer):
    """Records batches; sends what it is told."""

    def __init__(self) -> None:
        self.batches: asyncio.Queue[pb.CommandBatch] = asyncio.Queue()
        self.outgoing: asyncio.Queue[pb.ReplyBatch | None] = asyncio.Queue()

    async def Control(
        self, request_iterator: AsyncIterator[pb.CommandBatch], context: object
    ) -> AsyncIterator[pb.ReplyBatch]:
        reader = asyncio.ensure_future(self._read(request_iterator))
        try:
            yield pb.ReplyBatch(instance_id="relay-1")
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

    def accept(self) -> None:
        replies = [pb.Reply(id=c.id, session_id=c.session_id, ok=True) for c in self.last.commands]
        self.outgoing.put_nowait(pb.ReplyBatch(instance_id="relay-1", replies=replies))

    def hang_up(self) -> None:
        self.outgoing.put_nowait(None)


@pytest.fixture
async def relay() -> AsyncIterator[ScriptedRelay]:
    relay = ScriptedRelay()
    yield relay


@pytest.fixture
async def address(relay: ScriptedRelay) -> AsyncIterator[str]:
    server = grpc.aio.server()
    add_MediaRelayServicer_to_server(relay, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def connected(address: str, timeout_s: float) -> GrpcMediaControl:
    control = GrpcMediaControl([address], "cm-1", timeout_s=timeout_s, lost_after_s=5)
    await control.start()
    async with asyncio.timeout(5):
        await control.wait_all_up()
    return control


@pytest.fixture
async def control(address: str) -> AsyncIterator[GrpcMediaControl]:
    control = await connected(address, timeout_s=5)
    yield control
    await control.aclose()


def ask(
    control: GrpcMediaControl, command: OpenSession | UpdateSession | CloseSession
) -> asyncio.Future[Reply]:
    return asyncio.ensure_future(control.execute(command))


async def test_commands_of_one_tick_leave_in_one_batch(
    relay: ScriptedRelay, control: GrpcMediaControl
) -> None:
    waiting = [ask(control, OpenSession(f"s{n}", 1)) for n in range(20)]
    assert await relay.next_batch() == [("open", f"s{n}") for n in range(20)]
    relay.accept()
    replies = await asyncio.wait_for(asyncio.gather(*waiting), 3)
    assert all(reply.ok for reply in replies)
    assert relay.batches.empty()


async def test_a_command_without_an_answer_in_time_fails_and_its_session_is_closed(
    relay: ScriptedRelay, address: str
) -> None:
    control = await connected(address, timeout_s=0.05)
    with pytest.raises(MediaUnavailable, match="in time"):
        await control.execute(OpenSession("s", 4))
    assert await relay.next_batch() == [("open", "s")]
    relay.accept()  # Too late, and harmless.
    assert await relay.next_batch() == [("close", "s")]
    assert relay.last.commands[0].epoch == 4
    await control.aclose()


async def test_what_is_pending_fails_when_the_stream_dies_and_is_undone_on_the_next(
    relay: ScriptedRelay, control: GrpcMediaControl
) -> None:
    waiting = [ask(control, OpenSession("s", 1)), ask(control, UpdateSession("t", 1))]
    await relay.next_batch()
    relay.hang_up()
    for each in waiting:
        with pytest.raises(MediaUnavailable, match="went away"):
            await asyncio.wait_for(each, 3)
    assert await relay.next_batch() == [("close", "s")]


async def test_an_open_session_is_not_undone_by_an_open_that_was_repeated_in_vain(
    relay: ScriptedRelay, control: GrpcMediaControl
) -> None:
    first = ask(control, OpenSession("s", 1))
    await relay.next_batch()
    relay.accept()
    await asyncio.wait_for(first, 3)
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
    relay: ScriptedRelay, control: GrpcMediaControl
) -> None:
    events: list[object] = []
    control.on_event(events.append)
    opened = ask(control, OpenSession("s", 1))
    await relay.next_batch()
    relay.accept()
    await asyncio.wait_for(opened, 3)
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
    assert events == [SessionLost("s", "why")]


async def test_without_any_relay_commands_fail_at_once() -> None:
    control = GrpcMediaControl(["127.0.0.1:1"], "cm-1")
    with pytest.raises(MediaUnavailable):
        await control.execute(OpenSession("s", 1))
    await control.start()
    await asyncio.sleep(0)
    await control.aclose()
