"""The scoreboard never makes a missing or a bad value look good."""

from pathlib import Path

from tests.chaos.figures import Figure, Outcome, joined, worst
from tests.chaos.scoreboard import markdown, read, write


def outcome(*figures: Figure, error: str = "") -> Outcome:
    return Outcome("R0", "nothing dies", list(figures), error)


def test_what_was_not_measured_is_not_kept() -> None:
    assert not Figure("calls lost", None, 0).is_met


def test_the_worst_round_counts_whichever_way_is_better() -> None:
    rounds = [
        outcome(Figure("calls lost", 0, 0), Figure("calls made", 100, 99, "high")),
        outcome(Figure("calls lost", 3, 0), Figure("calls made", 98, 99, "high")),
        outcome(Figure("calls lost", 1, 0), Figure("calls made", 100, 99, "high")),
    ]

    all_rounds = worst(rounds)

    assert [figure.value for figure in all_rounds.figures] == [3, 98]
    assert not all_rounds.is_met


def test_a_round_that_did_not_measure_is_the_worst() -> None:
    all_rounds = worst([outcome(Figure("gap", 0.1, 1)), outcome(Figure("gap", None, 1))])

    assert all_rounds.figures[0].value is None


def test_a_round_that_broke_off_spoils_the_others() -> None:
    all_rounds = worst([outcome(Figure("gap", 0.1, 1)), outcome(error="the cluster did not start")])

    assert all_rounds.figures[0].is_met
    assert not all_rounds.is_met


def test_a_test_without_figures_is_not_kept() -> None:
    assert not outcome().is_met


def test_the_page_names_what_misses_its_goal() -> None:
    page = markdown([outcome(Figure("calls lost", 2, 0))], "Load: none.")

    assert "| R0 | nothing dies | 1 | calls lost | 2 | <= 0 | **no** |" in page


def test_rounds_of_several_runs_are_joined(tmp_path: Path) -> None:
    data = tmp_path / "chaos.json"
    write([worst([outcome(Figure("calls lost", 0, 0))] * 2)], "Load: none.", None, data)

    found = [*read(data), outcome(Figure("calls lost", 1, 0))]

    one = joined("R0", "nothing dies", found)
    assert (one.rounds, one.figures[0].value) == (3, 1)
    assert not joined("R1", "something dies", found).is_met
