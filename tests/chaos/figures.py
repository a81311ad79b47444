"""What a fault test measures: figures with goals, and what becomes of several rounds of them."""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

Better = Literal["low", "high"]
NOT_MEASURED: Final = "not measured"


class Figure(Struct, frozen=True):
    """One measured value.

    Attributes:
        name: what was measured, with its unit.
        value: None when it was not measured, which never counts as good.
        goal: the bound that it must keep.
        better: whether lower or higher values are better.
        note: what a reader must know, in a few words.
    """

    name: str
    value: float | None
    goal: float
    better: Better = "low"
    note: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the goal is kept."""
        if self.value is None:
            return False
        return self.value <= self.goal if self.better == "low" else self.value >= self.goal

    def text(self) -> str:
        """The value as a table shows it."""
        return NOT_MEASURED if self.value is None else f"{self.value:g}"


class Outcome(Struct, frozen=True):
    """One run of one fault test, or several joined.

    Attributes:
        id: of the scoreboard: `R2`.
        title: the fault.
        figures: what was measured.
        error: why the run broke off; empty when it did not.
        skipped: why it was not run; empty when it was.
        took_s: wall time, the start of the cluster included.
        rounds: how many runs were joined.
    """

    id: str
    title: str
    figures: list[Figure]
    error: str = ""
    skipped: str = ""
    took_s: float = 0.0
    rounds: int = 1

    @property
    def is_met(self) -> bool:
        """Whether it ran to its end and every goal was kept."""
        is_run = not self.error and not self.skipped
        return is_run and bool(self.figures) and all(figure.is_met for figure in self.figures)


def worst(outcomes: Sequence[Outcome]) -> Outcome:
    """Joins the rounds of one test: of each figure the worst value, of errors the first."""
    first = outcomes[0]
    names = list(dict.fromkeys(figure.name for one in outcomes for figure in one.figures))
    return Outcome(
        first.id,
        first.title,
        [_worst_of(name, outcomes) for name in names],
        next((one.error for one in outcomes if one.error), ""),
        next((one.skipped for one in outcomes if one.skipped), ""),
        max(one.took_s for one in outcomes),
        sum(one.rounds for one in outcomes),
    )


def joined(scenario: str, title: str, found: Sequence[Outcome]) -> Outcome:
    """Joins the rounds of one test out of those of many; one of which there is none is not met."""
    same = [one for one in found if one.id == scenario]
    return worst(same) if same else Outcome(scenario, title, [], skipped="in no report", rounds=0)


def _worst_of(name: str, outcomes: Sequence[Outcome]) -> Figure:
    found = [figure for one in outcomes for figure in one.figures if figure.name == name]
    # A round that did not come to measure it counts as the worst, unless it was cut off: its
    # error stands in the table then.
    missing = [figure for figure in found if figure.value is None]
    if missing:
        return missing[0]
    by_value = sorted(found, key=lambda figure: figure.value or 0.0)
    return by_value[-1] if by_value[0].better == "low" else by_value[0]
