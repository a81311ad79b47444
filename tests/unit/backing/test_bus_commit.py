"""When a consumer on Kafka may commit."""

from types import SimpleNamespace

import pytest

from parley.backing.bus.kafka_client import NO_MEMBER, commit


class _Consumer:
    def __init__(self, generation: int) -> None:
        self._coordinator = SimpleNamespace(generation=generation)
        self.committed: list[dict[object, int]] = []

    async def commit(self, offsets: dict[object, int]) -> None:
        self.committed.append(offsets)


async def test_who_is_no_member_any_more_commits_nothing() -> None:
    consumer = _Consumer(generation=-1)
    with pytest.raises(NO_MEMBER):
        await commit(consumer, {"p": 1}, timeout_s=1.0)
    assert not consumer.committed


async def test_a_member_commits() -> None:
    consumer = _Consumer(generation=3)
    await commit(consumer, {"p": 1}, timeout_s=1.0)
    assert consumer.committed == [{"p": 1}]
