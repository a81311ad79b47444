"""Tables of what the rounds found: medians, and ratios between what was measured in one round."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.bench.peers.measure import Measure, Sample

_CLOSED: Final = (
    "| {title}; {under_way} under way | CPU | Parley / it | rounds | a second on one core "
    "| resent |\n"
    "| --- | --- | --- | --- | --- | --- |"
)
_FIXED: Final = (
    "| {title} | CPU | Parley / it | rounds | set-up, median | whole call, 99th percentile "
    "| resent |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as much CPU the first server took as the second.

    Attributes:
        median: of the rounds.
        least, most: among the rounds.
    """

    median: float
    least: float
    most: float


def median_of(samples: Sequence[Sample | None], value: Callable[[Sample], float]) -> float | None:
    """The median over the rounds that count; None: there is none."""
    good = [value(sample) for sample in samples if sample and not sample.complaint]
    return statistics.median(good) if good else None


def ratio(first: Sequence[Sample | None], second: Sequence[Sample | None]) -> Ratio | None:
    """Compares the CPU of two servers round by round; None: no round counts for both."""
    found = [
        mine.cpu_us / other.cpu_us
        for mine, other in zip(first, second, strict=False)
        if mine and other and not mine.complaint and not other.complaint
    ]
    return Ratio(statistics.median(found), min(found), max(found)) if found else None


def table(what: Measure, found: Mapping[str, Sequence[Sample | None]], under_way: int) -> str:
    """The Markdown table of a measure; the first server is the one that others are compared to."""
    head = _FIXED if what.rate else _CLOSED
    reference = next(iter(found.values()))
    lines = [head.format(title=what.title, under_way=under_way)]
    for name, samples in found.items():
        compared = ("1", "")
        if samples is not reference:
            compared = _compared(ratio(reference, samples))
        lines.append(_row(what, name, samples, compared))
    return "\n".join(lines)


def progress(number: int, name: str, sample: Sample) -> str:
    """One line about one round."""
    line = (
        f"round {number}, {name}: {sample.cpu_us:.0f} us CPU each, {sample.per_s:.0f}/s, "
        f"server {sample.server_share:.0%} of its core, load {sample.load_share:.0%} of its own"
    )
    return f"{line}; NOT COUNTED: {sample.complaint}" if sample.complaint else line


def _compared(found: Ratio | None) -> tuple[str, str]:
    if found is None:
        return "", ""
    return f"{found.median:.2f}", f"{found.least:.2f} to {found.most:.2f}"


def _row(
    what: Measure, name: str, samples: Sequence[Sample | None], compared: tuple[str, str]
) -> str:
    cpu_us = median_of(samples, lambda sample: sample.cpu_us)
    if cpu_us is None:
        return f"| {name} | no round counts |" + " |" * (5 if what.rate else 4)
    cells = [name, f"{_grouped(cpu_us)} µs", *compared]
    if what.rate:
        setup_ms = median_of(samples, lambda sample: sample.setup_ms)
        slow_ms = median_of(samples, lambda sample: sample.slow_ms)
        cells += [f"{setup_ms:.1f} ms", f"{slow_ms:.1f} ms"]
    else:
        cells.append(_grouped(1e6 / cpu_us))
    resent = sum(sample.resent for sample in samples if sample)
    return "| " + " | ".join([*cells, str(resent)]) + " |"


def _grouped(number: float) -> str:
    """Three meaningful digits, thousands apart: 1 520."""
    digits = len(str(int(number)))
    return f"{round(number, min(3 - digits, 0)):,.0f}".replace(",", " ")
