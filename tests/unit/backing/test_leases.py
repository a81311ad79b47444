import pytest
from redis.crc import key_slot

from parley.backing.state.base import Versioned
from parley.backing.state.embedded import EmbeddedState
from parley.backing.state.leases import Leases, _lease
from parley.testkit.clock import FakeClock


@pytest.fixture
def leases(state: EmbeddedState) -> Leases:
    return Leases(state)


async def test_a_lease_is_renewed_by_who_knows_its_version(
    state: EmbeddedState, leases: Leases
) -> None:
    first = await leases.renew("cm1", b"1", 0, 1.0)
    assert first is not None
    assert await leases.renew("cm1", b"2", 0, 1.0) is None
    second = await leases.renew("cm1", b"2", first, 1.0)
    assert second is not None
    assert await leases.read("cm1") == Versioned(b"2", second)
    assert await state.get("lease:{callmanager}:cm1") == b"2"


async def test_a_lease_that_is_not_renewed_or_given_up_is_none(
    clock: FakeClock, leases: Leases
) -> None:
    for name, ttl_s in (("short", 1.0), ("long", 9.0), ("left", 9.0)):
        await leases.renew(name, b"1", 0, ttl_s)
    await leases.give_up("left")
    clock.advance(2.0)
    assert await leases.living(["short", "long", "left", "stranger"]) == {"long"}
    assert await leases.read("short") is None


async def test_owners_are_listed_until_they_are_taken_out(
    state: EmbeddedState, leases: Leases
) -> None:
    for name, wall_s in (("young", 2.0), ("old", 1.0), ("gone", 1.5)):
        await leases.add_owner(name, wall_s)
    assert await state.index_range("owners:{callmanager}", limit=1) == [("old", 1.0)]
    await leases.remove_owner("gone")
    assert await leases.owners() == ["old", "young"]


def test_all_leases_are_in_one_shard_with_the_list_of_owners() -> None:
    keys = ("owners:{callmanager}", _lease("cm-1"), _lease("cm-2"))

    assert len({key_slot(key.encode()) for key in keys}) == 1
