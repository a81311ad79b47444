"""The chaos suite: `python -m tests.chaos [--id R2] [--rounds 3] [--json FILE] [--join FILE]`.

Every run of a fault test has a cluster of its own. With one id the result is printed; without, all
tests run in rounds and the worst figures go to `docs/operations/chaos.md`.
"""

import argparse
import asyncio
import importlib
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Final

from tests.chaos.background import SENTENCE
from tests.chaos.figures import Outcome, joined, worst
from tests.chaos.ground import cluster
from tests.chaos.scenario import SCENARIOS, Scenario, Skipped
from tests.chaos.scoreboard import markdown, read, write

_PAGE: Final = Path(__file__).parents[2] / "docs/operations/chaos.md"
_LIMIT_S: Final = 150.0


def _load_scenarios() -> list[Scenario]:
    for path in sorted(Path(__file__).parent.glob("r[0-9][0-9]_*.py")):
        importlib.import_module(f"tests.chaos.{path.stem}")
    return [SCENARIOS[key] for key in sorted(SCENARIOS, key=_place)]


def _place(key: str) -> tuple[int, str]:
    """Where an id stands on the board: R2 before R10, R10 before R10b."""
    digits = key[1:].rstrip("abcd")
    return int(digits), key


async def _run_once(scenario: Scenario, folder: Path) -> Outcome:
    began = time.perf_counter()
    figures, error, skipped = [], "", ""
    try:
        async with asyncio.timeout(_LIMIT_S), cluster(folder, scenario.settings) as ground:
            figures = await scenario.run(ground)
    except Skipped as reason:
        skipped = str(reason)
    except Exception as problem:  # noqa: BLE001 - a test that breaks off is a line of the report
        traceback.print_exc()
        error = f"{type(problem).__name__}: {problem}"
    took_s = round(time.perf_counter() - began, 1)
    return Outcome(scenario.id, scenario.title, figures, error, skipped, took_s)


def _run(scenario: Scenario, rounds: int, keep: Path | None) -> Outcome:
    outcomes = []
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="parley-chaos-") as folder:
            place = Path(folder)
            if keep is not None:
                place = keep / f"{scenario.id}-{number}"
                place.mkdir(parents=True)
            outcome = asyncio.run(_run_once(scenario, place))
        verdict = "kept" if outcome.is_met else "MISSED"
        sys.stderr.write(f"{scenario.id} round {number + 1}: {verdict}, {outcome.took_s:g} s\n")
        outcomes.append(outcome)
    return worst(outcomes)


def main() -> int:
    """Runs what was asked for; the status says whether every goal was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--id", action="append", default=[], help="one line of the scoreboard")
    parser.add_argument("--rounds", type=int, default=0, help="3 for all, 1 for single ids")
    parser.add_argument("--page", type=Path, default=None, help="where to write the table")
    parser.add_argument("--json", type=Path, default=None, help="where to write all figures")
    parser.add_argument(
        "--join", type=Path, action="append", default=[], help="run nothing, join these figures"
    )
    parser.add_argument("--keep", type=Path, default=None, help="keep data and logs there")
    arguments = parser.parse_args()
    known = _load_scenarios()
    wanted = [each for each in known if not arguments.id or each.id in arguments.id]
    missing = set(arguments.id) - {each.id for each in known}
    if missing:
        parser.error(f"no such id: {', '.join(sorted(missing))}")
    if arguments.join:
        found = [one for data in arguments.join for one in read(data)]
        outcomes = [joined(each.id, each.title, found) for each in wanted]
    else:
        rounds = arguments.rounds or (1 if arguments.id else 3)
        outcomes = [_run(each, rounds, arguments.keep) for each in wanted]
    page = arguments.page or (None if arguments.id else _PAGE)
    data = arguments.json or (None if arguments.id else _PAGE.with_suffix(".json"))
    write(outcomes, SENTENCE, page, data)
    sys.stdout.write(markdown(outcomes, SENTENCE))
    return 0 if all(each.is_met for each in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
