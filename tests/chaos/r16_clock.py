"""R16: the wall clock of one process jumps by an hour, of a call manager first, then of an edge."""

import asyncio
import json
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tests.chaos.background import PHONES, background
from tests.chaos.figures import Figure
from tests.chaos.ground import FOLDER, Ground
from tests.chaos.measure import lost, new_calls, part, re_invite, records
from tests.chaos.scenario import Skipped, scenario

from parley.testkit.farm.load import Load

_WARM_S: Final = 1.0
_STAY_S: Final = 3.0
_HOUR_S: Final = 3600
_OFF: Final = timedelta(minutes=50)
_PROCESSES: Final = ("callmanager-1", "edgeproxy-1")
_LIBRARY: Final = next(
    map(str, Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")),
    "/usr/lib/faketime/libfaketimeMT.so.1",
)
_HAS_LIBRARY: Final = Path(_LIBRARY).exists()
_STAMP: Final = re.compile(r'"time":"([^"]+)"')


def _clock_file(name: str) -> str:
    return f"{FOLDER}/clock-of-{name}"


def _environment(name: str) -> dict[str, str]:
    """A clock of its own for one process: it goes as the file says; timers are left alone."""
    return {
        "LD_PRELOAD": _LIBRARY,
        "FAKETIME_TIMESTAMP_FILE": _clock_file(name),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@scenario(
    "R16",
    "the clock of a call manager, then of an edge, jumps by +1 h and -1 h",
    PARLEY_CLUSTER_PROCESS_ENVIRONMENT=json.dumps(
        {each: _environment(each) for each in _PROCESSES}
    ),
)
async def run(ground: Ground) -> list[Figure]:
    """Calls, registrations and durations are looked at while the clock is wrong and afterwards."""
    if not _HAS_LIBRARY:
        raise Skipped("libfaketime is not installed (Debian package libfaketime)")
    fewest = PHONES
    async with background(ground) as load:
        await asyncio.sleep(_WARM_S)
        began = time.perf_counter()
        tries = await re_invite([])
        for name in _PROCESSES:
            for step_s in (_HOUR_S, -_HOUR_S, 0):
                _set_clock(ground, name, step_s)
                await asyncio.sleep(_STAY_S)
                tries.add(await re_invite([pair.caller for pair in load.pairs if pair.is_up]))
                fewest = min(fewest, await _registered(ground, load))
        jumped = sum(_has_jumped(ground, name) for name in _PROCESSES)
        calls_lost = lost(load.pairs)
        byes, half_open = await part(load.pairs)
        await load.stop()
        return [
            Figure("processes whose clock was seen to jump", jumped, len(_PROCESSES), "high"),
            Figure("established calls lost", calls_lost, 0),
            tries.failed("re-INVITEs"),
            Figure("phones that lost their registration", PHONES - fewest, 0),
            Figure("registrations failed", len(load.ledger.failed_registrations()), 0),
            new_calls(load.ledger.calls, began, time.perf_counter(), 100),
            byes.failed("BYEs"),
            Figure("calls half open after BYE", half_open, 0),
            *await records(ground, load),
        ]


def _set_clock(ground: Ground, name: str, step_s: int) -> None:
    place = Path(_clock_file(name).replace(FOLDER, str(ground.folder)))
    new = place.with_suffix(".new")
    new.write_text(f"{step_s:+d}\n", encoding="ascii")
    new.replace(place)


async def _registered(ground: Ground, load: Load) -> int:
    """Phones of ours with a live registration, as the REST API says."""
    ours = {phone.line.number for phone in load.phones}
    path = f"{ground.api.tenant_path}/registrations"
    listed = await ground.api.items(path)
    return len(ours & {each["aor"].partition("@")[0].removeprefix("sip:") for each in listed})


def _has_jumped(ground: Ground, name: str) -> bool:
    """Whether the log of a process, stamped by the machine's clock as it sees it, leaps."""
    entry = next(each for each in ground.control.processes if each.name == name)
    stamps = list(_stamps(Path(entry.log).read_text(errors="replace")))
    return max(stamps) - min(stamps) > _OFF


def _stamps(text: str) -> Iterable[datetime]:
    for match in _STAMP.finditer(text):
        yield datetime.fromisoformat(match[1]).astimezone(UTC)
