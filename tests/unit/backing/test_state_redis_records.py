"""The layout of strings in Redis, and the map of a cluster's slots."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.backing.errors import WrongKind
from parley.backing.state import redis_records as records
from parley.backing.state.base import Owned, Versioned
from parley.backing.state.redis_slots import SLOTS, SlotMap
from parley.backing.state.redis_url import Address

versions = st.integers(1, (1 << 63) - 1)
owners = st.text(min_size=1).filter(lambda text: 0 < len(text.encode()) < 256)


@given(versions, st.binary())
def test_a_value_is_read_back(version: int, value: bytes) -> None:
    blob = records.value_head(version) + value
    assert records.value_of(blob) == value
    assert records.versioned(blob) == Versioned(value, version)
    assert records.owned(blob) is None


@given(versions, owners, st.integers(1, (1 << 53) - 1), st.binary())
def test_a_record_is_read_back(version: int, owner: str, epoch: int, value: bytes) -> None:
    prefix = records.record_prefix(owner, epoch)
    blob = records.record(prefix, version, value)
    assert records.value_of(blob) == value
    assert records.versioned(blob) == Versioned(value, version)
    assert records.owned(blob) == records.owned(blob[:265]) == Owned(owner, epoch)


@given(owners, owners, st.integers(1, 9), st.integers(1, 9))
def test_no_record_begins_like_that_of_another_owner_or_epoch(
    owner: str, other: str, epoch: int, next_epoch: int
) -> None:
    blob = records.record(records.record_prefix(owner, epoch), 1, b"")
    is_same = (owner, epoch) == (other, next_epoch)
    assert blob.startswith(records.record_prefix(other, next_epoch)) == is_same


@given(st.binary(max_size=40))
def test_any_other_string_is_refused_or_read(blob: bytes) -> None:
    for read in (records.value_of, records.versioned):
        with suppress(WrongKind):
            read(blob)


@pytest.mark.parametrize(("owner", "epoch"), [("", 1), ("x" * 256, 1), ("x", 0), ("x", 1 << 53)])
def test_an_owner_that_cannot_be_has_no_record(owner: str, epoch: int) -> None:
    assert records.record_prefix(owner, epoch) == b""


@pytest.mark.parametrize(
    ("ttl_s", "text"),
    [
        (None, b""),
        (0, b"0"),
        (-1.0, b"0"),
        (float("nan"), b"0"),
        (1e-9, b"1"),
        (0.0015, b"2"),
        (60, b"60000"),
        (float("inf"), b"100000000000000"),
    ],
)
def test_times_to_live_are_whole_milliseconds(ttl_s: float | None, text: bytes) -> None:
    assert records.milliseconds(ttl_s) == text


def test_a_map_of_slots_tells_when_a_slot_changed_hands() -> None:
    asked = Address("asked", 1)
    last = SLOTS - 1
    first = SlotMap.parse(
        [[0, 99, [b"a", 1, b"ida"]], [100, last, [b"", 2, b"idb"], [b"r", 3, b"idr"]]], asked
    )
    assert first.is_complete
    assert first.at(99) == Address("a", 1)
    assert first.at(100) == Address("asked", 2)
    assert first.addresses() == {Address("a", 1), Address("asked", 2)}
    moved = SlotMap.parse([[0, 99, [b"c", 9, b"ida"]], [100, last, [b"", 2, b"idb"]]], asked)
    assert not moved.has_changed_hands(first)
    taken = SlotMap.parse([[0, 98, [b"c", 9, b"ida"]], [99, last, [b"", 2, b"idb"]]], asked)
    assert taken.has_changed_hands(moved)
    assert not taken.has_changed_hands(SlotMap())
    holed = SlotMap.parse([[0, 98, [b"c", 9, b"ida"]]], asked)
    assert not holed.is_complete
    assert holed.at(99) is None


@pytest.mark.parametrize("reply", [None, [[0]], [[0, 1, [b"h", b"x", b"id"]]], b"", [[0, 1]]])
def test_what_is_no_map_of_slots_is_refused_or_empty(reply: object) -> None:
    with suppress(ValueError):
        assert not SlotMap.parse(reply, Address("h", 1)).addresses()
