"""What every adapter of the state port does."""

import asyncio

from parley.backing.errors import WrongKind
from parley.backing.state.base import State, Versioned
from parley.testkit.contracts.arms import Arm, Behaviour, refuses

KEY = "call:{c1}"


async def a_value_is_read_as_it_was_written(arm: Arm[State]) -> None:
    """Reads come back byte for byte, None where nothing is."""
    state = await arm.open()
    assert await state.get("k:{1}") is None
    await state.put("k:{1}", b"\x00\xffone")
    await state.put("k:{2}", b"")
    assert await state.get("k:{1}") == b"\x00\xffone"
    assert await state.get_many(["k:{2}", "k:{3}", "k:{1}"]) == [b"", None, b"\x00\xffone"]
    assert state.peek("k:{1}") in {None, b"\x00\xffone"}
    assert await state.delete("k:{1}", "k:{3}", "k:{2}") == 2
    assert await state.get("k:{1}") is None


async def a_value_is_gone_after_its_time(arm: Arm[State]) -> None:
    """A later write without time to live keeps it for ever."""
    state = await arm.open()
    await state.put("k:{1}", b"1", ttl_s=10)
    await state.put("k:{2}", b"2", ttl_s=10)
    await state.put("k:{2}", b"2")
    await state.put("k:{3}", b"3", ttl_s=10)
    await arm.pass_time(6)
    await state.put("k:{3}", b"3", ttl_s=10)
    await arm.pass_time(6)
    assert await state.get_many(["k:{1}", "k:{2}", "k:{3}"]) == [None, b"2", b"3"]
    assert await state.delete("k:{1}") == 0


async def a_time_to_live_that_is_over_stores_nothing(arm: Arm[State]) -> None:
    """Zero and negative times to live mean gone at once."""
    state = await arm.open()
    await state.put("k:{1}", b"1")
    await state.put("k:{1}", b"1", ttl_s=0)
    await state.put("k:{2}", b"1", ttl_s=-5)
    assert await state.get_many(["k:{1}", "k:{2}"]) == [None, None]


async def a_versioned_write_fails_when_another_was_faster(arm: Arm[State]) -> None:
    """Version 0 means absent; plain writes raise the version too."""
    state = await arm.open()
    first = await state.put_if_version("k:{1}", b"a", 0)
    assert first is not None
    assert await state.put_if_version("k:{1}", b"b", 0) is None
    second = await state.put_if_version("k:{1}", b"b", first)
    assert second is not None and second > first
    assert await state.put_if_version("k:{1}", b"c", first) is None
    assert await state.get_versioned("k:{1}") == Versioned(b"b", second)
    await state.put("k:{1}", b"d")
    assert await state.put_if_version("k:{1}", b"e", second) is None
    assert await state.get("k:{1}") == b"d"


async def a_version_is_never_used_twice(arm: Arm[State]) -> None:
    """Not even for a key that was deleted, or expired, and made again."""
    state = await arm.open()
    first = await state.put_if_version("k:{1}", b"a", 0)
    assert first is not None
    await state.delete("k:{1}")
    second = await state.put_if_version("k:{1}", b"a", 0, ttl_s=1)
    await arm.pass_time(2)
    third = await state.put_if_version("k:{1}", b"a", 0)
    assert len({first, second, third}) == 3
    assert await state.put_if_version("k:{1}", b"b", first) is None


async def one_of_many_writers_wins(arm: Arm[State]) -> None:
    """Optimistic writers at the same time: exactly one succeeds."""
    state = await arm.open()
    writes = [state.put_if_version("k:{1}", bytes([n]), 0) for n in range(20)]
    results = await asyncio.gather(*writes)
    assert sum(version is not None for version in results) == 1


async def a_claim_raises_the_epoch_and_hands_over_the_value(arm: Arm[State]) -> None:
    """Ownership passes with the last value written."""
    state = await arm.open()
    assert await state.claim(KEY, "cm-a", 0) == (1, None)
    assert await state.get(KEY) is None
    assert await state.put_owned(KEY, "cm-a", 1, b"snapshot")
    assert await state.get(KEY) == b"snapshot"
    assert await state.claim(KEY, "cm-b", 1) == (2, b"snapshot")
    assert await state.claim(KEY, "cm-c", None) == (3, b"snapshot")


async def a_claim_with_another_epoch_fails(arm: Arm[State]) -> None:
    """Of two who saw the same epoch, one gets the record."""
    state = await arm.open()
    assert await state.claim(KEY, "cm-a", 3) is None
    await state.claim(KEY, "cm-a", 0)
    assert await state.claim(KEY, "cm-b", 0) is None
    claims = [state.claim(KEY, f"cm-{n}", 1) for n in range(10)]
    assert sum(claim is not None for claim in await asyncio.gather(*claims)) == 1


async def a_former_owner_is_fenced(arm: Arm[State]) -> None:
    """Safety comes from owner and epoch alone."""
    state = await arm.open()
    await state.claim(KEY, "cm-a", 0)
    await state.put_owned(KEY, "cm-a", 1, b"a")
    await state.claim(KEY, "cm-b", 1)
    assert not await state.put_owned(KEY, "cm-a", 1, b"late")
    assert not await state.put_owned(KEY, "cm-a", 2, b"wrong name")
    assert not await state.put_owned(KEY, "cm-b", 1, b"wrong epoch")
    assert not await state.delete_owned(KEY, "cm-a", 1)
    assert await state.get(KEY) == b"a"
    assert await state.delete_owned(KEY, "cm-b", 2)
    assert not await state.put_owned(KEY, "cm-b", 2, b"after deletion")
    assert not await state.delete_owned(KEY, "cm-b", 2)
    assert await state.get(KEY) is None


async def an_owned_record_expires_as_its_owner_says(arm: Arm[State]) -> None:
    """A claim without time to live leaves the expiry as it is."""
    state = await arm.open()
    await state.claim(KEY, "cm-a", 0, ttl_s=10)
    assert await state.put_owned(KEY, "cm-a", 1, b"a", ttl_s=10)
    await arm.pass_time(8)
    assert await state.claim(KEY, "cm-b", 1) == (2, b"a")
    await arm.pass_time(4)
    assert await state.get(KEY) is None
    assert not await state.put_owned(KEY, "cm-b", 2, b"late")


async def an_owned_record_has_no_other_writer(arm: Arm[State]) -> None:
    """Neither a plain write nor a claim crosses the border."""
    state = await arm.open()
    await state.claim(KEY, "cm-a", 0)
    with refuses(WrongKind):
        await state.put(KEY, b"x")
    with refuses(WrongKind):
        await state.put_if_version(KEY, b"x", 1)
    await state.put("k:{1}", b"x")
    with refuses(WrongKind):
        await state.claim("k:{1}", "cm-a", None)
    assert not await state.put_owned("k:{1}", "cm-a", 1, b"y")
    assert not await state.put_owned("k:{1}", "", 0, b"y")
    with refuses(ValueError):
        await state.claim("k:{2}", "", None)


async def a_key_holds_one_kind_of_thing(arm: Arm[State]) -> None:
    """Operations of another kind are refused and change nothing; delete takes any."""
    state = await arm.open()
    await state.put("k:{1}", b"1")
    await state.hash_put("k:{2}", "f", b"1")
    await state.set_add("k:{3}", "m", 1)
    with refuses(WrongKind):
        await state.hash_put("k:{1}", "f", b"1")
    with refuses(WrongKind):
        await state.get("k:{2}")
    with refuses(WrongKind):
        await state.put("k:{3}", b"1")
    assert await state.delete("k:{1}", "k:{2}", "k:{3}") == 3


async def a_hash_keeps_fields_apart(arm: Arm[State]) -> None:
    """What was read is a copy; the key goes with its last field."""
    state = await arm.open()
    await state.hash_put("load:{cm}", "a", b"1")
    await state.hash_put("load:{cm}", "b", b"2")
    await state.hash_put("load:{cm}", "a", b"3")
    fields = await state.hash_get_all("load:{cm}")
    assert fields == {"a": b"3", "b": b"2"}
    fields.clear()
    assert await state.hash_delete("load:{cm}", "a", "x") == 1
    assert await state.hash_get_all("load:{cm}") == {"b": b"2"}
    assert await state.hash_delete("load:{cm}", "b") == 1
    assert await state.delete("load:{cm}") == 0
    assert await state.hash_delete("load:{cm}", "b") == 0


async def a_hash_expires_as_a_whole(arm: Arm[State]) -> None:
    """A write without time to live leaves that of the key."""
    state = await arm.open()
    await state.hash_put("load:{cm}", "a", b"1", ttl_s=10)
    await arm.pass_time(6)
    await state.hash_put("load:{cm}", "b", b"1")
    assert len(await state.hash_get_all("load:{cm}")) == 2
    await arm.pass_time(6)
    assert await state.hash_get_all("load:{cm}") == {}
    await state.hash_put("load:{cm}", "c", b"1")
    assert await state.hash_get_all("load:{cm}") == {"c": b"1"}


async def a_sorted_set_is_read_in_order(arm: Arm[State]) -> None:
    """By score, then by member; the bound is included."""
    state = await arm.open()
    for member, score in (("c", 3.0), ("b", 1.0), ("a", 1.0), ("d", 5.5)):
        assert await state.set_add("s:{1}", member, score)
    assert not await state.set_add("s:{1}", "b", 2.0)
    assert not await state.set_add("s:{1}", "b", 2.0)
    assert await state.set_range("s:{1}") == [("a", 1), ("b", 2), ("c", 3), ("d", 5.5)]
    assert await state.set_range("s:{1}", max_score=3) == [("a", 1), ("b", 2), ("c", 3)]
    assert await state.set_range("s:{1}", max_score=3, limit=1) == [("a", 1)]
    assert await state.set_remove("s:{1}", "a", "x") == 1
    assert await state.set_range("s:{2}") == []
    with refuses(ValueError):
        await state.set_add("s:{1}", "n", float("nan"))


async def due_members_are_popped_once(arm: Arm[State]) -> None:
    """However many ask at the same time."""
    state = await arm.open()
    for n in range(20):
        await state.set_add("timers:{1}", f"t{n:02}", n)
    pops = await asyncio.gather(*(state.set_pop_due("timers:{1}", 9, 3) for _ in range(6)))
    popped = [member for members in pops for member in members]
    assert sorted(popped) == [f"t{n:02}" for n in range(10)]
    assert pops[0] == ["t00", "t01", "t02"]
    assert await state.set_pop_due("timers:{1}", 9, 3) == []
    assert len(await state.set_range("timers:{1}")) == 10


async def slots_are_limited(arm: Arm[State]) -> None:
    """A member that has a slot keeps it; a released one is free at once."""
    state = await arm.open()
    now = arm.clock.wall_s()
    key = "limit:{t1}"
    takers = [state.acquire_slot(key, f"c{n}", 3, now, 60) for n in range(10)]
    assert sum(await asyncio.gather(*takers)) == 3
    assert await state.acquire_slot(key, "c0", 3, now, 60)
    assert not await state.acquire_slot(key, "c9", 3, now, 60)
    assert await state.release_slot(key, "c0")
    assert not await state.release_slot(key, "c0")
    assert await state.acquire_slot(key, "c9", 3, now, 60)
    assert not await state.acquire_slot("limit:{none}", "c1", 0, now, 60)


async def a_slot_is_free_when_its_lease_has_ended(arm: Arm[State]) -> None:
    """Limits never leak: who does not renew loses the slot."""
    state = await arm.open()
    key = "limit:{t1}"
    now = arm.clock.wall_s()
    assert await state.acquire_slot(key, "c1", 2, now, 30)
    assert await state.acquire_slot(key, "c2", 2, now, 30)
    await arm.pass_time(20)
    now = arm.clock.wall_s()
    assert await state.renew_slot(key, "c1", now, 30)
    assert not await state.acquire_slot(key, "c3", 2, now, 30)
    await arm.pass_time(20)
    now = arm.clock.wall_s()
    assert await state.acquire_slot(key, "c3", 2, now, 30)
    assert not await state.renew_slot(key, "c2", now, 30)
    await arm.pass_time(60)
    assert not await state.renew_slot(key, "c1", arm.clock.wall_s(), 30)
    assert await state.delete(key) == 0


async def everything_outlives_the_process(arm: Arm[State]) -> None:
    """Values, owners, versions, hashes, sets and slots are there after a restart."""
    state = await arm.open()
    await state.put("k:{1}", b"1", ttl_s=100)
    version = await state.put_if_version("k:{2}", b"2", 0)
    assert version is not None
    await state.put("k:{3}", b"3")
    await state.delete("k:{3}")
    await state.claim(KEY, "cm-a", 0)
    await state.put_owned(KEY, "cm-a", 1, b"a")
    await state.hash_put("h:{1}", "f", b"1")
    await state.hash_put("h:{1}", "g", b"1")
    await state.hash_delete("h:{1}", "g")
    await state.set_add("s:{1}", "m", 1)
    await state.set_add("s:{1}", "n", 2)
    await state.set_remove("s:{1}", "n")
    await state.acquire_slot("l:{1}", "c", 1, arm.clock.wall_s(), 50)
    await arm.close(state)
    state = await arm.open()
    assert await state.get_many(["k:{1}", "k:{3}", KEY]) == [b"1", None, b"a"]
    assert await state.get_versioned("k:{2}") == Versioned(b"2", version)
    assert not await state.put_owned(KEY, "cm-b", 1, b"b")
    assert await state.put_owned(KEY, "cm-a", 1, b"b")
    assert await state.hash_get_all("h:{1}") == {"f": b"1"}
    assert await state.set_range("s:{1}") == [("m", 1)]
    assert not await state.acquire_slot("l:{1}", "d", 1, arm.clock.wall_s(), 50)
    third = await state.put_if_version("k:{3}", b"3", 0)
    assert third is not None and third > version


async def expiry_goes_on_while_nobody_is_there(arm: Arm[State]) -> None:
    """What expired between two runs is gone, what did not has the rest of its time."""
    state = await arm.open()
    await state.put("k:{1}", b"1", ttl_s=10)
    await state.put("k:{2}", b"2", ttl_s=30)
    await arm.close(state)
    await arm.pass_time(20)
    state = await arm.open()
    assert await state.get_many(["k:{1}", "k:{2}"]) == [None, b"2"]
    await arm.pass_time(11)
    assert await state.get("k:{2}") is None


async def text_that_is_not_unicode_is_refused(arm: Arm[State]) -> None:
    """A key or member from broken bytes changes nothing."""
    state = await arm.open()
    with refuses(ValueError):
        await state.put("reg:{\udcff}", b"1")
    with refuses(ValueError):
        await state.hash_put("h:{1}", "\udcff", b"1")
    with refuses(ValueError):
        await state.set_add("s:{1}", "\udcff", 1)
    assert await state.get("reg:{\udcff}") is None
    assert await state.set_range("s:{1}") == []


BEHAVIOURS: tuple[Behaviour[State], ...] = (
    a_value_is_read_as_it_was_written,
    a_value_is_gone_after_its_time,
    a_time_to_live_that_is_over_stores_nothing,
    a_versioned_write_fails_when_another_was_faster,
    a_version_is_never_used_twice,
    one_of_many_writers_wins,
    a_claim_raises_the_epoch_and_hands_over_the_value,
    a_claim_with_another_epoch_fails,
    a_former_owner_is_fenced,
    an_owned_record_expires_as_its_owner_says,
    an_owned_record_has_no_other_writer,
    a_key_holds_one_kind_of_thing,
    a_hash_keeps_fields_apart,
    a_hash_expires_as_a_whole,
    a_sorted_set_is_read_in_order,
    due_members_are_popped_once,
    slots_are_limited,
    a_slot_is_free_when_its_lease_has_ended,
    everything_outlives_the_process,
    expiry_goes_on_while_nobody_is_there,
    text_that_is_not_unicode_is_refused,
)
