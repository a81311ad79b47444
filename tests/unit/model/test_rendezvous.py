"""Everybody names the same successor, and few calls move when an instance goes."""

from parley.model.rendezvous import choose

INSTANCES = ["cm-1", "cm-2", "cm-3"]
CALLS = [f"call-{number}" for number in range(300)]


def test_the_order_in_which_instances_are_seen_does_not_matter() -> None:
    assert [choose(call, INSTANCES) for call in CALLS] == [
        choose(call, reversed(INSTANCES)) for call in CALLS
    ]


def test_only_the_calls_of_an_instance_that_goes_move_and_they_spread() -> None:
    before = {call: choose(call, INSTANCES) for call in CALLS}
    after = {call: choose(call, INSTANCES[1:]) for call in CALLS}

    moved = [call for call in CALLS if before[call] != after[call]]

    assert {before[call] for call in moved} == {"cm-1"}
    assert {after[call] for call in moved} == {"cm-2", "cm-3"}


def test_nobody_is_named_when_nobody_is_there() -> None:
    assert choose("call-1", []) is None
