"""What every adapter of the state port does."""

import asyncio

from parley.backing.errors import WrongKind
from parley.backing.state.base import Owned, Versioned
from parley.testkit.contracts.arms import refuses
from parley.testkit.contracts.state_arm import StateArm, StateBehaviour
from parley.testkit.contracts.state_records import KEY, RECORD_BEHAVIOURS


async def a_value_is_read_as_it_was_written(arm: StateArm) -> None:
    """Reads come back byte for byte, None where nothing is."""
    state = await arm.open()
    assert await state.get("k:{1}") is None
    await state.put_if_version("k:{1}", b"\x00\xffone", 0)
    await state.put_if_version("k:{2}", b"", 0)
    assert await state.get("k:{1}") == b"\x00\xffone"
    assert await state.get_many(["k:{2}", "k:{3}", "k:{1}"]) == [b"", None, b"\x00\xffone"]
    for key in ("k:{1}", "k:{3}"):
        await state.delete(key)
    assert await state.get_many(["k:{1}", "k:{2}"]) == [None, b""]


async def a_value_is_gone_after_its_time(arm: StateArm) -> None:
    """A later write without time to live keeps it for ever."""
    state = await arm.open()
    _, second, third = [
        await state.put_if_version(key, b"0", 0, ttl_s=arm.lasting(10))
        for key in ("k:{1}", "k:{2}", "k:{3}")
    ]
    assert second is not None and third is not None
    await state.put_if_version("k:{2}", b"2", second)
    await arm.pass_time(6)
    await state.put_if_version("k:{3}", b"3", third, ttl_s=arm.lasting(10))
    await arm.pass_time(6)
    assert await state.get_many(["k:{1}", "k:{2}", "k:{3}"]) == [None, b"2", b"3"]
    await state.delete("k:{1}")


async def a_time_to_live_that_is_over_stores_nothing(arm: StateArm) -> None:
    """Zero and negative times to live mean gone at once."""
    state = await arm.open()
    version = await state.put_if_version("k:{1}", b"1", 0)
    assert version is not None
    assert await state.put_if_version("k:{1}", b"1", version, ttl_s=0) is not None
    assert await state.put_if_version("k:{2}", b"1", 0, ttl_s=-5) is not None
    assert await state.get_many(["k:{1}", "k:{2}"]) == [None, None]


async def a_versioned_write_fails_when_another_was_faster(arm: StateArm) -> None:
    """Version 0 means absent."""
    state = await arm.open()
    first = await state.put_if_version("k:{1}", b"a", 0)
    assert first is not None
    assert await state.put_if_version("k:{1}", b"b", 0) is None
    second = await state.put_if_version("k:{1}", b"b", first)
    assert second is not None and second > first
    assert await state.put_if_version("k:{1}", b"c", first) is None
    assert await state.get_versioned("k:{1}") == Versioned(b"b", second)
    assert await state.get("k:{1}") == b"b"


async def a_version_is_never_used_twice(arm: StateArm) -> None:
    """Not even for a key that was deleted, or expired, and made again."""
    state = await arm.open()
    first = await state.put_if_version("k:{1}", b"a", 0)
    assert first is not None
    await state.delete("k:{1}")
    second = await state.put_if_version("k:{1}", b"a", 0, ttl_s=arm.lasting(1))
    await arm.pass_time(2)
    third = await state.put_if_version("k:{1}", b"a", 0)
    assert len({first, second, third}) == 3
    assert await state.put_if_version("k:{1}", b"b", first) is None


async def one_of_many_writers_wins(arm: StateArm) -> None:
    """Optimistic writers at the same time: exactly one succeeds."""
    state = await arm.open()
    writes = [state.put_if_version("k:{1}", bytes([n]), 0) for n in range(20)]
    results = await asyncio.gather(*writes)
    assert sum(version is not None for version in results) == 1


async def a_store_that_forgot_nothing_says_nothing(arm: StateArm) -> None:
    """The callback for a new generation is not called while the store is the same."""
    state = await arm.open()
    calls: list[None] = []
    state.on_new_generation(lambda: calls.append(None))
    await state.put_if_version("k:{1}", b"x", 0)
    assert await state.get("k:{1}") == b"x"
    assert calls == []


async def a_key_holds_one_kind_of_thing(arm: StateArm) -> None:
    """Operations of another kind are refused and change nothing; delete takes any."""
    state = await arm.open()
    await state.put_if_version("k:{1}", b"1", 0)
    await state.hash_put("k:{2}", "f", b"1")
    await state.index_add("k:{3}", "m", 1)
    with refuses(WrongKind):
        await state.hash_put("k:{1}", "f", b"1")
    with refuses(WrongKind):
        await state.get("k:{2}")
    with refuses(WrongKind):
        await state.put_if_version("k:{3}", b"1", 0)
    for key in ("k:{1}", "k:{2}", "k:{3}"):
        await state.delete(key)
    assert await state.get("k:{2}") is None
    assert await state.hash_get_all("k:{3}") == {}
    assert await state.index_range("k:{1}") == []


async def a_hash_keeps_fields_apart(arm: StateArm) -> None:
    """What was read is a copy; the key goes with its last field."""
    state = await arm.open()
    await state.hash_put("load:{cm}", "a", b"1")
    await state.hash_put("load:{cm}", "b", b"2")
    await state.hash_put("load:{cm}", "a", b"3")
    fields = await state.hash_get_all("load:{cm}")
    assert fields == {"a": b"3", "b": b"2"}
    fields.clear()
    await state.hash_delete("load:{cm}", "a", "x")
    await state.hash_delete("load:{cm}")
    assert await state.hash_get_all("load:{cm}") == {"b": b"2"}
    await state.hash_delete("load:{cm}", "b")
    await state.hash_delete("load:{cm}", "b")
    assert await state.hash_get_all("load:{cm}") == {}
    assert await state.get("load:{cm}") is None


async def a_sorted_set_is_read_in_order(arm: StateArm) -> None:
    """By score, then by member; the bound is included."""
    state = await arm.open()
    for member, score in (("c", 3.0), ("b", 1.0), ("a", 1.0), ("d", 5.5)):
        await state.index_add("s:{1}", member, score)
    for _ in range(2):
        await state.index_add("s:{1}", "b", 2.0)
    assert await state.index_range("s:{1}") == [("a", 1), ("b", 2), ("c", 3), ("d", 5.5)]
    assert await state.index_range("s:{1}", max_score=3) == [("a", 1), ("b", 2), ("c", 3)]
    assert await state.index_range("s:{1}", max_score=3, limit=1) == [("a", 1)]
    await state.index_remove("s:{1}", "a", "x")
    await state.index_remove("s:{1}")
    assert await state.index_range("s:{1}") == [("b", 2), ("c", 3), ("d", 5.5)]
    assert await state.index_range("s:{2}") == []
    with refuses(ValueError):
        await state.index_add("s:{1}", "n", float("nan"))


async def a_sorted_set_is_read_by_pages(arm: StateArm) -> None:
    """Each member once, those of one score too; the place may have gone meanwhile."""
    state = await arm.open()
    for number in range(7):
        await state.index_add("s:{1}", f"m{number}", 1.0)
    await state.index_add("s:{1}", "a", 1.5)
    await state.index_add("s:{1}", "z", 0.5)
    seen: list[str] = []
    page = await state.index_range("s:{1}", limit=2)
    while page:
        seen += [member for member, _ in page]
        await state.index_remove("s:{1}", page[-1][0])
        page = await state.index_range("s:{1}", limit=2, after=page[-1])
    assert seen == ["z", "m0", "m1", "m2", "m3", "m4", "m5", "m6", "a"]
    assert await state.index_range("s:{1}", after=("m1", 1.0)) == [("m3", 1.0), ("m5", 1.0)]
    assert await state.index_range("s:{1}", 1.0, after=("m4", 1.0)) == [("m5", 1.0)]


async def everything_outlives_the_process(arm: StateArm) -> None:
    """Values, owners, versions, hashes and sets are there after a restart."""
    state = await arm.open()
    await state.put_if_version("k:{1}", b"1", 0, ttl_s=arm.lasting(100))
    version = await state.put_if_version("k:{2}", b"2", 0)
    assert version is not None
    await state.put_if_version("k:{3}", b"3", 0)
    await state.delete("k:{3}")
    await state.create_owned(KEY, "cm-a", b"0")
    await state.put_owned(KEY, "cm-a", 1, b"a")
    await state.create_owned("call:{c2}", "cm-a", b"c")
    await state.restore_owned("call:{c3}", "cm-b", 7, b"r")
    await state.hash_put("h:{1}", "f", b"1")
    await state.hash_put("h:{1}", "g", b"1")
    await state.hash_delete("h:{1}", "g")
    await state.index_add("s:{1}", "m", 1)
    await state.index_add("s:{1}", "n", 2)
    await state.index_remove("s:{1}", "n")
    await arm.close(state)
    state = await arm.open()
    assert await state.get_many(["k:{1}", "k:{3}", KEY]) == [b"1", None, b"a"]
    assert await state.get_versioned("k:{2}") == Versioned(b"2", version)
    assert not await state.put_owned(KEY, "cm-b", 1, b"b")
    assert await state.put_owned(KEY, "cm-a", 1, b"b")
    assert await state.create_owned("call:{c2}", "cm-b", b"d") is None
    assert await state.owner_of("call:{c3}") == Owned("cm-b", 7)
    assert await state.hash_get_all("h:{1}") == {"f": b"1"}
    assert await state.index_range("s:{1}") == [("m", 1)]
    third = await state.put_if_version("k:{3}", b"3", 0)
    assert third is not None and third > version


async def expiry_goes_on_while_nobody_is_there(arm: StateArm) -> None:
    """What expired between two runs is gone, what did not has the rest of its time."""
    state = await arm.open()
    await state.put_if_version("k:{1}", b"1", 0, ttl_s=arm.lasting(10))
    await state.put_if_version("k:{2}", b"2", 0, ttl_s=arm.lasting(20))
    await arm.close(state)
    await arm.pass_time(15)
    state = await arm.open()
    assert await state.get_many(["k:{1}", "k:{2}"]) == [None, b"2"]
    await arm.pass_time(8)
    assert await state.get("k:{2}") is None


async def text_that_is_not_unicode_is_refused(arm: StateArm) -> None:
    """A key or member from broken bytes changes nothing."""
    state = await arm.open()
    with refuses(ValueError):
        await state.put_if_version("reg:{\udcff}", b"1", 0)
    with refuses(ValueError):
        await state.hash_put("h:{1}", "\udcff", b"1")
    with refuses(ValueError):
        await state.index_add("s:{1}", "\udcff", 1)
    assert await state.get("reg:{\udcff}") is None
    assert await state.index_range("s:{1}") == []


BEHAVIOURS: tuple[StateBehaviour, ...] = (
    a_value_is_read_as_it_was_written,
    a_value_is_gone_after_its_time,
    a_time_to_live_that_is_over_stores_nothing,
    a_versioned_write_fails_when_another_was_faster,
    a_version_is_never_used_twice,
    one_of_many_writers_wins,
    *RECORD_BEHAVIOURS,
    a_store_that_forgot_nothing_says_nothing,
    a_key_holds_one_kind_of_thing,
    a_hash_keeps_fields_apart,
    a_sorted_set_is_read_in_order,
    a_sorted_set_is_read_by_pages,
    everything_outlives_the_process,
    expiry_goes_on_while_nobody_is_there,
    text_that_is_not_unicode_is_refused,
)
