"""Growth: what a REGISTER, a call, a binding and a restart cost with many bindings in state.

    python -m tests.bench.growth [--sizes 10000,100000,500000] [--rate 100] [--seconds 10]

For each size that many bindings lie in shared state, written by the edge's own code through the
state port: one phone for each AOR, 200 AORs for each tenant, expiring between 60 and 120 minutes
from now. They are keys only: their tenants are not in the database. Then phones of the demo
tenant refresh their registrations and call each other through sipp, at a steady rate, in several
rounds of which the medians count.

- `embedded`: `parley.allinone`, started anew for each size on a folder prepared so: time to be
  ready, resident memory, CPU per refresh and per call.
- `redis`: one cluster that is filled further and further: Redis's memory, CPU per refresh and per
  call of edge and call manager, and of Redis.

Prints JSON; `ratio` is to the smallest size.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.bench.load_cluster import all_in_one, lines, ports, running_cluster
from tests.bench.meters import cpu_s, read, redis_info, rss
from tests.bench.sipp_load import Outcome, Phones

from parley.backing.factory import Port, create_backing
from parley.backing.settings import Adapter, BackingSettings
from parley.backing.state.base import State
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.registrar.binding_memory import BindingMemory
from parley.edgeproxy.registrar.decision import Accepted
from parley.edgeproxy.registrar.store import Registrations
from parley.model.ids import InstanceId, TenantId
from parley.model.registration import Binding
from parley.service.clock import SystemClock
from parley.service.metrics import Registry

AORS_PER_TENANT: Final = 200
_AT_ONCE: Final = 500
_SETTLE_S: Final = 3.0
_SOONEST_S: Final = 3600
_SPREAD_S: Final = 3600
_TOKEN: Final = "AQEBAQEBAQEBAQEBAQEBAQEBE8QAAAAAAAAAAIR_AAABAAAAAAAAAAAAAAAA"
_MIB: Final = 2**20


async def preload(state: State, first: int, end: int) -> float:
    """Registers phones `first` to `end`; returns the seconds that it took."""
    clock = SystemClock()
    registrations = Registrations(state, EdgeMetrics(Registry()), BindingMemory(1))
    began, wall_s = time.perf_counter(), clock.wall_s()

    async def register(number: int) -> None:
        binding = _binding(number, wall_s)

        def change(_: object) -> Accepted:
            return Accepted([binding], added=[binding])

        tenant = TenantId(f"tn_growth{number // AORS_PER_TENANT:06d}")
        aor = binding.aor.removeprefix("sip:")
        await registrations.update(tenant, aor, wall_s, change)

    for start in range(first, end, _AT_ONCE):
        await asyncio.gather(*map(register, range(start, min(end, start + _AT_ONCE))))
    return time.perf_counter() - began


def _binding(number: int, wall_s: float) -> Binding:
    tenant, extension = divmod(number, AORS_PER_TENANT)
    source = f"10.{tenant >> 8 & 255}.{tenant & 255}.7"
    return Binding(
        aor=f"sip:{1000 + extension}@t{tenant:06d}.example",
        contact=f"sip:{1000 + extension}@{source}:5060",
        path=[f"<sip:{_TOKEN}@192.0.2.10:5060;lr>"],
        expires_at=wall_s + _SOONEST_S + number % _SPREAD_S,
        call_id=f"{number:032x}",
        cseq=2,
        user_agent="Phone 1.0",
        edge=InstanceId("edge-1-0123456789"),
        source=source,
    )


async def _preload_backing(settings: BackingSettings, first: int, end: int) -> float:
    state = create_backing(Port.STATE, settings, SystemClock(), Registry()).state
    await state.start()
    try:
        return await preload(state, first, end)
    finally:
        await state.aclose()


def measure_embedded(arguments: argparse.Namespace, sizes: list[int]) -> dict[int, dict[str, Any]]:
    """Starts all-in-one on each number of bindings."""
    with tempfile.TemporaryDirectory(prefix="parley-growth-") as name:
        folder = Path(name)
        where = ports("PARLEY_")
        with all_in_one(folder, where) as (_, demo):
            made = lines(demo, 2 * arguments.pairs)
        figures = {}
        for size in sizes:
            place = folder / str(size)
            shutil.copytree(folder / "data", place / "data")
            settings = BackingSettings.load(data=place / "data")
            took_s = asyncio.run(_preload_backing(settings, 0, size))
            journals = sum(file.stat().st_size for file in (place / "data").rglob("state*.journal"))
            began = time.perf_counter()
            with all_in_one(place, where) as (pid, demo):
                ready_s = time.perf_counter() - began
                memory = rss(pid)
                phones = Phones(place, made, demo.sip, demo.domain, has_rtp=False)
                cost = _rounds(arguments, phones, partial(_spent, pid))
                after = rss(pid)
            figures[size] = {
                "preload_s": round(took_s, 1),
                "journal_mib": round(journals / _MIB, 1),
                "ready_after_s": round(ready_s, 2),
                "rss_mib": round(memory / _MIB, 1),
                "rss_mib_after_load": round(after / _MIB, 1),
                "bytes": memory,
                **cost,
            }
            shutil.rmtree(place)
    return figures


def _spent(pid: int) -> dict[str, float]:
    return {"allinone": cpu_s(pid)}


def measure_redis(arguments: argparse.Namespace, sizes: list[int]) -> dict[int, dict[str, Any]]:
    """Fills one cluster's Redis further and further."""
    with (
        tempfile.TemporaryDirectory(prefix="parley-growth-") as name,
        running_cluster(Path(name), 1) as (control, demo),
    ):
        url = control.backing["PARLEY_BACKING_STATE_URL"]
        settings = BackingSettings(state=Adapter.REDIS, state_url=url, state_timeout_s=30.0)
        made = lines(demo, 2 * arguments.pairs)
        phones = Phones(Path(name), made, demo.sip, demo.domain, has_rtp=False)

        def spent() -> dict[str, float]:
            reading = read(control)
            both = reading.cpu_of("edgeproxy") + reading.cpu_of("callmanager")
            return {"edge_and_callmanager": both, "redis": reading.cpu_s["redis"]}

        figures, present = {}, 0
        for size in sizes:
            took_s = asyncio.run(_preload_backing(settings, present, size))
            present = size
            memory = redis_info(url)["used_memory"]
            figures[size] = {
                "preload_s": round(took_s, 1),
                "used_memory_mib": round(memory / _MIB, 1),
                "bytes": memory,
                **_rounds(arguments, phones, spent),
            }
    return figures


def _rounds(
    arguments: argparse.Namespace, phones: Phones, spent: Callable[[], dict[str, float]]
) -> dict[str, Any]:
    """Median CPU per refresh and per call, in microseconds."""
    total = arguments.rate * arguments.seconds
    calls: list[dict[str, float]] = []
    refreshes: list[dict[str, float]] = []
    outcomes: list[Outcome] = []
    phones.register()
    with phones.answering():
        phones.warm_up(arguments.rate)
        phones.register(total, arguments.rate)
        for _ in range(arguments.rounds):
            before = spent()
            outcomes.append(phones.register(total, arguments.rate))
            refreshes.append(_micros(spent(), before, total))
            before = spent()
            outcomes.append(phones.call(total, arguments.rate, 0.5))
            # The ends of the last calls go to the bus, and then out of state.
            time.sleep(_SETTLE_S)
            calls.append(_micros(spent(), before, total))
    failed = [each for each in outcomes if each.failed]
    return {
        "register_us": _medians(refreshes),
        "call_us": _medians(calls),
        "failed": sum(each.failed for each in failed),
        **({"errors": [each.error for each in failed]} if failed else {}),
    }


def _micros(after: dict[str, float], before: dict[str, float], total: int) -> dict[str, float]:
    return {name: (spent - before[name]) * 1e6 / total for name, spent in after.items()}


def _medians(rounds: list[dict[str, float]]) -> dict[str, int]:
    return {name: round(statistics.median(each[name] for each in rounds)) for name in rounds[0]}


def _summary(figures: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Adds ratios to the smallest size and the memory of a binding."""
    smallest, largest = min(figures), max(figures)
    base = figures[smallest]
    for each in figures.values():
        for what in ("register_us", "call_us"):
            each[f"{what.removesuffix('_us')}_ratio"] = {
                name: round(value / base[what][name], 2) for name, value in each[what].items()
            }
    grown = figures[largest]["bytes"] - base["bytes"]
    per_binding = round(grown / (largest - smallest)) if largest > smallest else None
    for each in figures.values():
        del each["bytes"]
    return {"bytes_per_binding": per_binding, **{str(size): figures[size] for size in figures}}


def _measures(arguments: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    sizes = sorted(int(each) for each in arguments.sizes.split(","))
    wanted = arguments.stores.split(",")
    if "embedded" in wanted:
        yield "embedded", _summary(measure_embedded(arguments, sizes))
    if "redis" in wanted:
        yield "redis", _summary(measure_redis(arguments, sizes))


def main() -> int:
    """Prints the figures; the exit status says whether every call and REGISTER went well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10000,100000,500000")
    parser.add_argument("--stores", default="embedded,redis")
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=150, help="callers, and as many callees")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"load_average_before": os.getloadavg()}
    failed = 0
    for name, found in _measures(arguments):
        figures[name] = found
        failed += sum(each["failed"] for each in found.values() if isinstance(each, dict))
    print(json.dumps(figures, indent=1))
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
