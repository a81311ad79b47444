"""What every adapter of the state port does with owned records."""

import asyncio

from parley.backing.errors import WrongKind
from parley.backing.state.base import Owned
from parley.testkit.contracts.arms import refuses
from parley.testkit.contracts.state_arm import StateArm, StateBehaviour

KEY = "call:{c1}"


async def a_claim_raises_the_epoch_and_hands_over_the_value(arm: StateArm) -> None:
    """Ownership passes with the last value written."""
    state = await arm.open()
    assert await state.create_owned(KEY, "cm-a", b"first") == 1
    assert await state.put_owned(KEY, "cm-a", 1, b"snapshot")
    assert await state.get(KEY) == b"snapshot"
    assert await state.claim(KEY, "cm-b", 1) == (2, b"snapshot")
    assert await state.claim(KEY, "cm-c", 2) == (3, b"snapshot")
    assert await state.get(KEY) == b"snapshot"


async def a_claim_with_another_epoch_fails(arm: StateArm) -> None:
    """Of two who saw the same epoch, one gets the record; a claim makes none."""
    state = await arm.open()
    for epoch in (0, 3):
        assert await state.claim(KEY, "cm-a", epoch) is None
    assert await state.create_owned(KEY, "cm-a", b"a") == 1
    for epoch in (0, 2):
        assert await state.claim(KEY, "cm-b", epoch) is None
    assert await state.owner_of(KEY) == Owned("cm-a", 1)
    claims = [state.claim(KEY, f"cm-{n}", 1) for n in range(10)]
    assert sum(claim is not None for claim in await asyncio.gather(*claims)) == 1


async def a_former_owner_is_fenced(arm: StateArm) -> None:
    """Safety comes from owner and epoch alone."""
    state = await arm.open()
    await state.create_owned(KEY, "cm-a", b"a")
    await state.claim(KEY, "cm-b", 1)
    assert not await state.put_owned(KEY, "cm-a", 1, b"late")
    assert not await state.put_owned(KEY, "cm-a", 2, b"wrong name")
    assert not await state.put_owned(KEY, "cm-b", 1, b"wrong epoch")
    assert not await state.end_owned(KEY, "cm-a", 1, 10)
    assert not await state.end_owned(KEY, "", 2, 10)
    assert await state.get(KEY) == b"a"
    assert await state.end_owned(KEY, "cm-b", 2, 10)
    assert not await state.put_owned(KEY, "cm-b", 2, b"after the end")
    assert not await state.end_owned(KEY, "cm-b", 2, 10)
    assert await state.get(KEY) is None


async def an_ended_record_is_not_made_again(arm: StateArm) -> None:
    """Its mark keeps every writer off until it runs out."""
    state = await arm.open()
    await state.create_owned(KEY, "cm-a", b"a")
    assert await state.claim(KEY, "cm-b", 1) == (2, b"a")
    assert await state.end_owned(KEY, "cm-b", 2, arm.lasting(10))
    found = await state.owner_of(KEY)
    assert found is not None
    assert (found.owner, found.has_ended) == ("cm-b", True)
    assert not await state.restore_owned(KEY, "cm-a", 1, b"late")
    assert not await state.restore_owned(KEY, "cm-c", 9, b"later")
    assert not await state.put_owned(KEY, "cm-a", 1, b"late")
    assert await state.create_owned(KEY, "cm-a", b"again") is None
    for epoch in (0, 2, found.epoch):
        assert await state.claim(KEY, "cm-c", epoch) is None
    assert await state.get(KEY) is None
    assert await state.get_versioned(KEY) is None
    await arm.pass_time(12)
    assert await state.owner_of(KEY) is None
    assert await state.create_owned(KEY, "cm-a", b"again") == 1


async def a_forgotten_end_is_marked_again(arm: StateArm) -> None:
    """Whatever a failover brought back, and whoever has taken it from there."""
    state = await arm.open()
    await state.restore_ended(KEY, "cm-b", arm.lasting(10))
    assert not await state.restore_owned(KEY, "cm-a", 1, b"late")
    await state.restore_owned("call:{c2}", "cm-c", 3, b"c")
    await state.restore_ended("call:{c2}", "cm-b", arm.lasting(10))
    assert not await state.put_owned("call:{c2}", "cm-c", 3, b"d")
    assert await state.get("call:{c2}") is None
    await arm.pass_time(12)
    assert await state.owner_of(KEY) is None
    await state.put_if_version("k:{1}", b"x", 0)
    with refuses(WrongKind):
        await state.restore_ended("k:{1}", "cm-b", 10)
    with refuses(ValueError):
        await state.restore_ended(KEY, "", 10)


async def an_owned_record_expires_as_its_owner_says(arm: StateArm) -> None:
    """Each write and each claim gives it another time."""
    state = await arm.open()
    await state.create_owned(KEY, "cm-a", b"0", ttl_s=arm.lasting(10))
    await arm.pass_time(6)
    assert await state.put_owned(KEY, "cm-a", 1, b"a", ttl_s=arm.lasting(10))
    await arm.pass_time(6)
    assert await state.claim(KEY, "cm-b", 1, ttl_s=arm.lasting(10)) == (2, b"a")
    await arm.pass_time(6)
    assert await state.get(KEY) == b"a"
    await arm.pass_time(6)
    assert await state.get(KEY) is None
    assert not await state.put_owned(KEY, "cm-b", 2, b"late")


async def an_owned_record_has_no_other_writer(arm: StateArm) -> None:
    """Neither a versioned write nor a claim crosses the border."""
    state = await arm.open()
    await state.create_owned(KEY, "cm-a", b"a")
    with refuses(WrongKind):
        await state.put_if_version(KEY, b"x", 1)
    await state.put_if_version("k:{1}", b"x", 0)
    with refuses(WrongKind):
        await state.claim("k:{1}", "cm-a", 1)
    assert not await state.put_owned("k:{1}", "cm-a", 1, b"y")
    assert not await state.put_owned("k:{1}", "", 0, b"y")
    with refuses(ValueError):
        await state.claim("k:{2}", "", 1)


async def a_record_is_created_with_its_value_by_one(arm: StateArm) -> None:
    """Of many who create it at the same time one gets it; the others change nothing."""
    state = await arm.open()
    creations = [state.create_owned(KEY, f"cm-{n}", bytes([n])) for n in range(10)]
    epochs = await asyncio.gather(*creations)
    assert sorted(epochs, key=str) == [1] + [None] * 9
    winner = epochs.index(1)
    assert await state.get(KEY) == bytes([winner])
    assert await state.owner_of(KEY) == Owned(f"cm-{winner}", 1)
    assert await state.put_owned(KEY, f"cm-{winner}", 1, b"next")
    assert await state.claim(KEY, "cm-x", 1) == (2, b"next")
    assert await state.create_owned(KEY, "cm-x", b"again") is None
    assert await state.get(KEY) == b"next"


async def a_created_record_expires(arm: StateArm) -> None:
    """Then it can be created again, with the first epoch."""
    state = await arm.open()
    assert await state.create_owned(KEY, "cm-a", b"a", ttl_s=arm.lasting(10)) == 1
    await arm.pass_time(12)
    assert await state.owner_of(KEY) is None
    assert not await state.put_owned(KEY, "cm-a", 1, b"late")
    assert await state.create_owned(KEY, "cm-b", b"b") == 1


async def the_owner_of_a_record_is_told(arm: StateArm) -> None:
    """With its epoch; a plain value has none."""
    state = await arm.open()
    assert await state.owner_of(KEY) is None
    await state.create_owned(KEY, "cm-ä", b"a")
    assert await state.owner_of(KEY) == Owned("cm-ä", 1)
    await state.claim(KEY, "cm-b", 1)
    assert await state.owner_of(KEY) == Owned("cm-b", 2)
    await state.end_owned(KEY, "cm-b", 2, 0)
    assert await state.owner_of(KEY) is None
    await state.put_if_version("k:{1}", b"x", 0)
    assert await state.owner_of("k:{1}") is None


async def a_forgotten_record_is_restored_by_its_owner(arm: StateArm) -> None:
    """It is as it was: same owner, same epoch; an older state of it is replaced."""
    state = await arm.open()
    assert await state.restore_owned(KEY, "cm-a", 3, b"a", ttl_s=arm.lasting(10))
    assert await state.owner_of(KEY) == Owned("cm-a", 3)
    assert await state.get(KEY) == b"a"
    assert await state.put_owned(KEY, "cm-a", 3, b"b")
    assert await state.restore_owned(KEY, "cm-a", 3, b"c", ttl_s=arm.lasting(10))
    assert await state.restore_owned(KEY, "cm-b", 4, b"d", ttl_s=arm.lasting(10))
    assert await state.owner_of(KEY) == Owned("cm-b", 4)
    assert not await state.put_owned(KEY, "cm-a", 3, b"late")
    assert await state.get(KEY) == b"d"
    await arm.pass_time(12)
    assert await state.get(KEY) is None


async def a_record_that_was_taken_is_not_restored(arm: StateArm) -> None:
    """A higher epoch wins, and so does who was there first with the same."""
    state = await arm.open()
    await state.restore_owned(KEY, "cm-b", 2, b"b")
    assert not await state.restore_owned(KEY, "cm-a", 1, b"a")
    assert not await state.restore_owned(KEY, "cm-b", 1, b"a")
    assert not await state.restore_owned(KEY, "cm-a", 2, b"a")
    assert await state.owner_of(KEY) == Owned("cm-b", 2)
    assert await state.get(KEY) == b"b"


async def records_are_not_made_of_plain_values(arm: StateArm) -> None:
    """Nor by somebody without a name, nor before the first epoch."""
    state = await arm.open()
    await state.put_if_version("k:{1}", b"x", 0)
    with refuses(WrongKind):
        await state.create_owned("k:{1}", "cm-a", b"y")
    with refuses(WrongKind):
        await state.restore_owned("k:{1}", "cm-a", 9, b"y")
    assert await state.get("k:{1}") == b"x"
    with refuses(ValueError):
        await state.create_owned(KEY, "", b"y")
    with refuses(ValueError):
        await state.restore_owned(KEY, "", 1, b"y")
    with refuses(ValueError):
        await state.restore_owned(KEY, "cm-a", 0, b"y")
    assert await state.owner_of(KEY) is None


RECORD_BEHAVIOURS: tuple[StateBehaviour, ...] = (
    a_claim_raises_the_epoch_and_hands_over_the_value,
    a_claim_with_another_epoch_fails,
    a_former_owner_is_fenced,
    an_ended_record_is_not_made_again,
    a_forgotten_end_is_marked_again,
    an_owned_record_expires_as_its_owner_says,
    an_owned_record_has_no_other_writer,
    a_record_is_created_with_its_value_by_one,
    a_created_record_expires,
    the_owner_of_a_record_is_told,
    a_forgotten_record_is_restored_by_its_owner,
    a_record_that_was_taken_is_not_restored,
    records_are_not_made_of_plain_values,
)
