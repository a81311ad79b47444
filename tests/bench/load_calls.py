"""Authenticated calls with relayed RTP from sipp against the whole platform.

    python -m tests.bench.load_calls [--rate 50] [--seconds 60] [--hold-s 2]

Starts `parley.allinone` as a child with a data folder of its own, registers the callees, lets one
sipp call and another answer and echo RTP, and prints one JSON line: calls, failures, set-up times,
CPU of the platform per call, and its resident memory before, during and after.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tests.bench.load_cluster import all_in_one, lines, ports
from tests.bench.meters import cpu_s, rss
from tests.bench.sipp_load import Outcome, Phones


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Runs the load and returns the figures."""
    total = arguments.rate * arguments.seconds
    with all_in_one(folder, ports("PARLEY_")) as (pid, demo), ThreadPoolExecutor(1) as load:
        phones = Phones(folder, lines(demo, 10), demo.sip, demo.domain, has_rtp=True)
        phones.register()
        with phones.answering():
            phones.warm_up(arguments.rate)
            trail, before_s = [_mib(pid)], cpu_s(pid)
            calling = load.submit(phones.call, total, arguments.rate, arguments.hold_s)
            trail += _watch(pid, calling)
            calls, spent_s = calling.result(), cpu_s(pid) - before_s
            time.sleep(arguments.settle_s)
            after_mib = _mib(pid)
    return {
        "rate": arguments.rate,
        "calls": calls.done,
        "failed": calls.failed,
        "resent": calls.resent,
        "setup_ms_mean": round(statistics.fmean(calls.times_ms), 1) if calls.times_ms else None,
        "cpu_ms_per_call": round(spent_s * 1000 / total, 3),
        "core_percent": round(spent_s * 100 / (arguments.seconds + arguments.hold_s), 1),
        "rss_mib_before": trail[0],
        "rss_mib_each_10_s": trail[::10],
        "rss_mib_after": after_mib,
    }


def _watch(pid: int, calling: "Future[Outcome]") -> list[float]:
    trail = []
    while not calling.done():
        time.sleep(1.0)
        trail.append(_mib(pid))
    return trail


def _mib(pid: int) -> float:
    return round(rss(pid) / 2**20, 1)


def main() -> int:
    """Prints the figures; the exit status says whether every call went well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--hold-s", type=float, default=2.0)
    parser.add_argument("--settle-s", type=float, default=35.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parley-load-") as folder:
        figures = measure(arguments, Path(folder))
    print(json.dumps(figures))
    return 0 if figures["failed"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
