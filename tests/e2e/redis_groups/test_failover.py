"""A master of Redis dies while two phones talk; its replica goes on."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from parley.testkit.platform.desk import Desk, ending
from parley.testkit.platform.running import Platform, Topology

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module", params=["sentinel", "cluster"])
def platform(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    all_servers: None,
    untimed: Callable[[], AbstractContextManager[None]],
) -> Iterator[Platform]:
    """A cluster whose shared state lies in several Redis servers."""
    with untimed():
        running = Platform(
            Topology.CLUSTER,
            tmp_path_factory.mktemp(f"redis-{request.param}"),
            ["127.0.0.1"],
            {"PARLEY_CLUSTER_STATE": request.param},
        )
    try:
        yield running
    finally:
        with untimed():
            running.stop()


async def test_a_call_outlives_the_master_and_new_ones_are_made(desk: Desk) -> None:
    a_line, b_line, c_line, d_line = await desk.lines(4)
    async with (
        desk.baresip(a_line, tone_hz=440) as alice,
        desk.baresip(b_line, tone_hz=660, answers=True) as bob,
        desk.baresip(c_line) as carol,
        desk.baresip(d_line, answers=True) as dave,
    ):
        for phone in (alice, bob, carol, dave):
            await phone.registered()
        await alice.dial(b_line.number)
        await alice.established()
        await bob.established()

        os.kill(desk.platform.control.servers["redis-1"].pid, signal.SIGKILL)

        await bob.hears(1.5)
        await alice.hang_up()
        await bob.closed()
        await alice.closed()
        # By now the replica may or may not have been promoted: calls go on in either case.
        await carol.dial(d_line.number)
        await carol.established()
        await carol.hang_up()
        await carol.closed()
    assert alice.heard().tone_s(660) >= 1.0
    assert bob.heard().tone_s(440) >= 1.0
    for line in (a_line, c_line):
        record = await desk.api.wait_for_cdr(line, timeout_s=20.0)
        assert ending(record) == ("answered", 200, "caller")
