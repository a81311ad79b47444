"""The scoreboard as JSON and as a Markdown table."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import psutil
from tests.chaos.figures import Outcome

_HEAD: Final = """# Chaos scoreboard

What happens to calls, registrations and records when something dies. Written by
`make chaos`; `make chaos ID=R2` runs one line of it. The worst of the rounds counts. What
misses its goal says so; what was not measured counts as missed.

{machine}

| id | fault | rounds | measured | value | goal | kept |
|---|---|---|---|---|---|---|
"""


def machine(wall: datetime | None = None) -> str:
    """The day and the size of this machine."""
    day = (wall or datetime.now(UTC)).date().isoformat()  # noqa: TID251 - a report's date
    memory_gib = psutil.virtual_memory().total / 2**30
    return f"Run on {day}, {os.cpu_count()} cores, {memory_gib:.0f} GiB of memory."


def markdown(outcomes: Sequence[Outcome], load: str) -> str:
    """The page."""
    head = _HEAD.format(machine=f"{machine()} {load}")
    return head + "\n".join(row for one in outcomes for row in _rows(one)) + "\n"


def _rows(one: Outcome) -> list[str]:
    which = f"| {one.id} | {one.title} | {one.rounds}"
    rows = [
        f"{which} | {figure.name}{f' ({figure.note})' if figure.note else ''} "
        f"| {figure.text()} | {'<=' if figure.better == 'low' else '>='} {figure.goal:g} "
        f"| {'yes' if figure.is_met else '**no**'} |"
        for figure in one.figures
    ]
    for word, text in (("broke off", one.error), ("not run", one.skipped)):
        if text:
            line = " ".join(text.split())[:300].replace("|", "/")
            rows.append(f"{which} | {word}: {line} | | | **no** |")
    return rows


def write(outcomes: Sequence[Outcome], load: str, page: Path | None, data: Path | None) -> None:
    """Writes the page, the JSON, or both."""
    if page is not None:
        page.write_text(markdown(outcomes, load))
    if data is not None:
        report = {"machine": machine(), "load": load, "outcomes": outcomes}
        data.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


class _Report(msgspec.Struct):
    outcomes: list[Outcome]


def read(data: Path) -> list[Outcome]:
    """Reads the outcomes of JSON that `write` wrote."""
    return msgspec.json.decode(data.read_bytes(), type=_Report).outcomes
