"""What sharing costs: authenticated calls and registrations on a cluster, beside all-in-one.

    python -m tests.bench.load_cluster [--rate 100] [--seconds 20] [--instances 1,2] [--rtp]

For each number of instances a cluster (`tests.cluster`, real servers) is started, left alone for
some seconds, loaded with calls by sipp, and then with REGISTER refreshes; at the end all-in-one
gets the same. Prints JSON: CPU per call and process, set-up times, operations and bytes on Redis,
messages to the relay, records and batches on the bus, and what an idle process takes. CPU is what
the scheduler counted for each process, threads included; what a process spends when idle is not
taken off. Load and servers share the machine, so set-up times are upper bounds.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.bench.meters import Reading, cpu_s, read
from tests.bench.sipp_load import Outcome, Phones
from tests.cluster.control import Control, read_control

from parley.testkit.phones.line import Line
from parley.testkit.phones.ports import reserve_ports
from parley.testkit.phones.process import Child
from parley.testkit.platform.api import ApiClient
from parley.testkit.platform.running import Demo

_START_S: Final = 150.0
_STOP_S: Final = 60.0
_RTP_PORTS: Final = 4000
_PARALLEL: Final = 4
_FIRST_NUMBER: Final = 3000
_SETTLE_S: Final = 3.0
_MEDIA: Final = ("media_commands", "media_messages", "media_received")


@contextmanager
def running_cluster(folder: Path, instances: int) -> Iterator[tuple[Control, Demo]]:
    """A cluster of its own, with `instances` processes of each service."""
    data = folder / "cluster"
    environment = {
        "PARLEY_CLUSTER_DATA": str(data),
        "PARLEY_CLUSTER_INSTANCES": str(instances),
        "PARLEY_CLUSTER_LOG_LEVEL": "warning",
        **ports("PARLEY_CLUSTER_"),
    }
    argv = [sys.executable, "-m", "tests.cluster", "up"]
    with Child("cluster", argv, folder / "cluster.log", environment) as child:
        child.wait_for_line("^Parley is ready$", _START_S)
        control = read_control(data)
        if control is None:
            raise SystemExit("the cluster told nothing about itself")
        yield control, Demo.read(Path(control.demo))
        child.stop(_STOP_S)


@contextmanager
def all_in_one(folder: Path, where: Mapping[str, str]) -> Iterator[tuple[int, Demo]]:
    """One process, with the journals of its embedded services in `folder/data`."""
    environment = {
        "PARLEY_DATA": str(folder / "data"),
        "PARLEY_LOG_LEVEL": "warning",
        "PARLEY_HEALTH_PORT": str(reserve_ports()),
        **where,
    }
    argv = [sys.executable, "-m", "parley.allinone"]
    with Child("allinone", argv, folder / "allinone.log", environment) as child:
        child.wait_for_line("^Parley is ready$", _START_S)
        yield child.pid, Demo.read(folder / "data" / "demo.json")
        child.stop(_STOP_S)


def lines(demo: Demo, number: int) -> list[Line]:
    """Makes extensions."""

    async def make() -> list[Line]:
        gate = asyncio.Semaphore(_PARALLEL)
        async with ApiClient(demo) as api:

            async def one(name: str) -> Line:
                async with gate:
                    body = {"number": name, "password": f"secret-{name}"}
                    await api.post(f"{api.tenant_path}/extensions", body)
                    return Line(name, f"secret-{name}", demo.domain)

            names = [str(_FIRST_NUMBER + each) for each in range(number)]
            return list(await asyncio.gather(*map(one, names)))

    return asyncio.run(make())


def measure_cluster(arguments: argparse.Namespace, folder: Path, instances: int) -> dict[str, Any]:
    """Idle, calls, registrations."""
    with running_cluster(folder, instances) as (control, demo):
        phones = _phones(arguments, folder, demo)

        def spent(work: Callable[[], Outcome | None]) -> tuple[Outcome | None, Reading, float]:
            before, began = read(control), time.perf_counter()
            outcome = work()
            return outcome, read(control).since(before), time.perf_counter() - began

        phones.register()
        with phones.answering():
            phones.warm_up(arguments.rate)
            _, idle, passed_s = spent(lambda: time.sleep(arguments.idle))
            calls, cost, _ = spent(lambda: _calls(arguments, phones))
        _register(arguments, phones, 100)
        refreshes, register_cost, _ = spent(lambda: _register(arguments, phones))
    assert calls is not None
    assert refreshes is not None
    return {
        "idle_percent_of_a_core": {
            name: round(100 * seconds / passed_s, 2) for name, seconds in idle.cpu_s.items()
        },
        "idle_redis_commands_per_s": _per(idle.redis_commands(), passed_s),
        "call": _outcome(calls) | _call_cost(cost, calls.done + calls.failed),
        "register": _outcome(refreshes)
        | _shared_cost(register_cost, refreshes.done + refreshes.failed),
        "complaints": _complaints(control),
    }


def measure_all_in_one(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The same load on one process."""
    with all_in_one(folder, ports("PARLEY_")) as (pid, demo):
        phones = _phones(arguments, folder, demo)

        def spent(work: Callable[[], Outcome]) -> dict[str, Any]:
            before = cpu_s(pid)
            outcome = work()
            total = outcome.done + outcome.failed
            return _outcome(outcome) | {"cpu_us": _micros(cpu_s(pid) - before, total)}

        phones.register()
        with phones.answering():
            phones.warm_up(arguments.rate)
            before = cpu_s(pid)
            time.sleep(arguments.idle)
            idle = cpu_s(pid) - before
            calls = spent(lambda: _calls(arguments, phones))
        _register(arguments, phones, 100)
        refreshes = spent(lambda: _register(arguments, phones))
    percent = round(100 * idle / arguments.idle, 2)
    return {"idle_percent_of_a_core": percent, "call": calls, "register": refreshes}


def ports(prefix: str) -> dict[str, str]:
    """Settings that name free ports for everything a platform listens on."""
    rtp = reserve_ports(_RTP_PORTS, align=2)
    names = ("SIP", "SIP_TLS", "API", "WSI")
    return {
        f"{prefix}RTP_PORTS": f"{rtp}-{rtp + _RTP_PORTS - 1}",
        **{f"{prefix}{name}_PORT": str(reserve_ports()) for name in names},
    }


def _phones(arguments: argparse.Namespace, folder: Path, demo: Demo) -> Phones:
    made = lines(demo, 2 * arguments.pairs)
    return Phones(folder, made, demo.sip, demo.domain, has_rtp=arguments.rtp)


def _calls(arguments: argparse.Namespace, phones: Phones) -> Outcome:
    outcome = phones.call(arguments.rate * arguments.seconds, arguments.rate, arguments.hold_s)
    # Accounting and the bus have their share a moment later.
    time.sleep(_SETTLE_S)
    return outcome


def _register(arguments: argparse.Namespace, phones: Phones, count: int = 0) -> Outcome:
    return phones.register(count or arguments.rate * arguments.seconds, arguments.rate)


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "done": outcome.done,
        "failed": outcome.failed,
        "resent": outcome.resent,
        "p50_ms": outcome.percentile(0.50),
        "p99_ms": outcome.percentile(0.99),
        **({"error": outcome.error} if outcome.error else {}),
    }


def _shared_cost(cost: Reading, total: int) -> dict[str, Any]:
    """Per operation: CPU of every service, and what went to Redis and the bus."""
    services = sorted({name.partition("-")[0] for name in cost.cpu_s})
    batches = {
        service: round(cost.series.get(f"{service} state_batches", 0.0) / total, 2)
        for service in ("edgeproxy", "callmanager")
    }
    return {
        "cpu_us": {service: _micros(cost.cpu_of(service), total) for service in services},
        "redis_commands_sent": round(_sent(cost) / total, 2),
        "redis_commands_done": _per(cost.redis_commands(), total),
        "redis_bytes_in": round(cost.redis["total_net_input_bytes"] / total),
        "redis_bytes_out": round(cost.redis["total_net_output_bytes"] / total),
        "redis_pipelines": batches,
        "bus": {
            name: round(number / total, 3)
            for name, number in cost.series.items()
            if name.endswith(("bus_records", "bus_batches")) and number
        },
    }


def _sent(cost: Reading) -> float:
    """Commands that processes sent; Redis counts what scripts do inside as well."""
    return sum(spent for name, spent in cost.series.items() if name.endswith(" state_commands"))


def _call_cost(cost: Reading, total: int) -> dict[str, Any]:
    goal = cost.cpu_of("edgeproxy") + cost.cpu_of("callmanager")
    return {
        "edge_and_callmanager_cpu_us": _micros(goal, total),
        **_shared_cost(cost, total),
        "relay": {name: round(cost.series[f"callmanager {name}"] / total, 2) for name in _MEDIA},
    }


def _micros(seconds: float, total: int) -> int:
    return round(seconds * 1e6 / total)


def _per(numbers: dict[str, float], total: float) -> dict[str, float]:
    return {name: round(number / total, 2) for name, number in sorted(numbers.items())}


def _complaints(control: Control) -> list[str]:
    found: list[str] = []
    for entry in control.processes:
        text = Path(entry.log).read_text(errors="replace")
        found += [
            f"{entry.name}: {line[:200]}"
            for line in text.splitlines()
            if line.startswith("Traceback") or '"level":"error"' in line
        ]
    return found[:10]


def main() -> int:
    """Prints the figures; the exit status says whether everything went well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--hold-s", type=float, default=1.0)
    parser.add_argument(
        "--idle", type=float, default=20.0, help="seconds to measure idle processes"
    )
    parser.add_argument("--pairs", type=int, default=50, help="callers, and as many callees")
    parser.add_argument("--instances", default="1,2", help="of each service; empty: no cluster")
    parser.add_argument("--rtp", action="store_true", help="G.711 both ways in every call")
    parser.add_argument("--no-allinone", dest="allinone", action="store_false")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"load_average_before": os.getloadavg()}
    for instances in [int(each) for each in arguments.instances.split(",") if each]:
        with tempfile.TemporaryDirectory(prefix="parley-cost-") as folder:
            figures[f"cluster_{instances}"] = measure_cluster(arguments, Path(folder), instances)
    if arguments.allinone:
        with tempfile.TemporaryDirectory(prefix="parley-cost-") as folder:
            figures["allinone"] = measure_all_in_one(arguments, Path(folder))
    print(json.dumps(figures, indent=1))
    return 0 if _is_well(list(figures.values())[1:]) else 1


def _is_well(figures: Sequence[dict[str, Any]]) -> bool:
    return not any(each["call"]["failed"] or each["register"]["failed"] for each in figures)


if __name__ == "__main__":
    sys.exit(main())
