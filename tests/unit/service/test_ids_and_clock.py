"""Random ids are unique and safe in SIP; the clock is the loop's."""

import asyncio
import re
from datetime import timedelta

from parley.service.clock import Clock, SystemClock
from parley.service.ids import RandomIds
from parley.sip.ids import Ids


def test_tokens_are_unique_and_of_the_length_asked_for() -> None:
    ids: Ids = RandomIds()

    tokens = [ids.token(8) for _ in range(2000)]

    assert len(set(tokens)) == 2000
    assert all(re.fullmatch(r"[0-9a-f]{16}", token) for token in tokens)
    assert len(ids.token(5000)) == 10_000
    assert len(ids.token(3)) == 6


def test_instance_is_named_and_never_the_same() -> None:
    ids = RandomIds()

    first, second = ids.instance("edge"), ids.instance("edge")

    assert first != second
    assert re.fullmatch(r"edge-[0-9a-f]{10}", first)


async def test_monotonic_time_has_the_base_of_the_loop() -> None:
    clock: Clock = SystemClock()

    assert abs(clock.now() - asyncio.get_running_loop().time()) < 1
    assert clock.wall().utcoffset() == timedelta(0)
    assert abs(clock.wall().timestamp() - clock.wall_s()) < 1
