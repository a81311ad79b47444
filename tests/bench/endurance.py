"""The platform in one process on one core under load for a long time: memory, pauses, failures.

    python -m tests.bench.endurance register [--rate 2000] [--seconds 600]
    python -m tests.bench.endurance call [--rate 300] [--seconds 600]

The load of `tests.bench.peers` at a fixed rate, from another core. Meanwhile a stranger asks by
OPTIONS 20 times a second on a socket of its own: the longest that an answer took is the longest
pause of the server. Resident memory is read every 10 s, in short runs more often. Prints what it
saw, and a sentence for each goal that was missed, which is also what the exit status tells: no
failure, no question unanswered, no pause above 20 ms, memory that grows by less than 2 % in the
last third.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.meters import rss
from tests.bench.options_probe import Answers, OptionsProbe
from tests.bench.peers.load import (
    HOST,
    SIP_PORT,
    Load,
    LoadError,
    Operation,
    Outcome,
    build,
    command,
    parse_outcome,
)
from tests.bench.peers.servers import PortTakenError, parley, prepare_process, running
from tests.bench.schedstat import CpuTime, cpu_time

from parley.testkit.phones.process import ChildError

MAX_PAUSE_MS: Final = 20.0
MAX_GROWTH: Final = 0.02
_RATES: Final[dict[Operation, int]] = {"register": 2000, "call": 300}
_ASK_EVERY_S: Final = 0.05
_READ_EVERY_S: Final = 10.0
_LEAST_READINGS: Final = 12
_LAST_ANSWER_S: Final = 1.0
_MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Findings:
    """What a run saw.

    Attributes:
        outcome: of the load.
        answers: to the stranger.
        rss_mib: resident memory, at equal intervals.
        cpu: of the server; what it waited for its core is the machine's fault, not its own.
        wall_s: how long it took.
    """

    outcome: Outcome
    answers: Answers
    rss_mib: Sequence[float]
    cpu: CpuTime
    wall_s: float


def growth(readings: Sequence[float]) -> float:
    """How much the most of the last third is above its beginning, as a share; 0.01 is 1 %."""
    third = readings[-max(len(readings) // 3, 1) - 1 :]
    return max(third) / third[0] - 1


def missed_goals(findings: Findings) -> Iterator[str]:
    """Yields a sentence for each goal that was missed."""
    if findings.outcome.complaint:
        yield f"Of the operations, {findings.outcome.complaint}."
    answers = findings.answers
    if answers.unanswered or not answers.asked:
        yield f"Of {answers.asked} questions of the stranger, {answers.unanswered} got no answer."
    pause_ms = answers.percentile(1)
    if pause_ms > MAX_PAUSE_MS:
        second = answers.slowest() * _ASK_EVERY_S
        yield (
            f"The server paused for {pause_ms:.1f} ms, {second:.0f} s after the start; "
            f"the goal is {MAX_PAUSE_MS:g} ms."
        )
    grown = growth(findings.rss_mib)
    if grown >= MAX_GROWTH:
        yield f"Memory grew by {grown:.1%} in the last third; the goal is {MAX_GROWTH:.0%}."


def observe(operation: Operation, rate: int, seconds: int, folder: Path) -> Findings:
    """Runs server and load.

    Raises:
        ChildError, LoadError, PortTakenError: there was no run.
    """
    load = Load(operation, rate * seconds, rate, under_way=rate)
    every_s = min(_READ_EVERY_S, seconds / _LEAST_READINGS)
    with running(parley(), operation, folder) as pid, OptionsProbe((HOST, SIP_PORT)) as probe:
        before, began = cpu_time(pid), time.perf_counter()
        with subprocess.Popen(command(load), stdout=subprocess.PIPE, text=True) as process:
            try:
                readings = _watch(process, probe, pid, every_s)
                told = process.communicate()[0]
            finally:
                process.kill()
        cpu, wall_s = cpu_time(pid) - before, time.perf_counter() - began
        probe.collect(_LAST_ANSWER_S)
    return Findings(parse_outcome(told), probe.answers, readings, cpu, wall_s)


def _watch(
    process: "subprocess.Popen[str]", probe: OptionsProbe, pid: int, every_s: float
) -> list[float]:
    """Asks and reads memory until the load ends; the generator ends by itself."""
    readings = [rss(pid) / _MIB]
    ask_at = read_at = time.perf_counter()
    while process.poll() is None:
        probe.ask()
        ask_at += _ASK_EVERY_S
        probe.collect(ask_at - time.perf_counter())
        if time.perf_counter() - read_at >= every_s:
            read_at += every_s
            readings.append(rss(pid) / _MIB)
    return readings


def describe(findings: Findings) -> Iterator[str]:
    """Yields the lines of the report."""
    outcome, answers = findings.outcome, findings.answers
    yield (
        f"{outcome.ok} operations went well, {outcome.failed} failed, {outcome.resent} requests "
        f"were sent again; {outcome.rate:.0f}/s."
    )
    ran, waited = (
        ns / 1e9 / findings.wall_s for ns in (findings.cpu.ran_ns, findings.cpu.waited_ns)
    )
    yield (
        f"The server took {ran:.0%} of a core; its threads were kept waiting for one for "
        f"{waited:.1%} of the time."
    )
    yield (
        f"An operation took {outcome.op_ms_p50:.1f} ms in the median, {outcome.op_ms_p99:.1f} ms "
        "in the 99th percentile."
    )
    yield (
        f"The stranger's {answers.asked} questions: median {answers.percentile(0.5):.2f} ms, 99th "
        f"percentile {answers.percentile(0.99):.1f} ms, longest {answers.percentile(1):.1f} ms."
    )
    memory = ", ".join(f"{reading:.0f}" for reading in findings.rss_mib)
    yield f"Resident memory, MiB: {memory}; last third {growth(findings.rss_mib):+.1%}."


def main() -> int:
    """Prints the findings; the exit status says whether every goal was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("operation", choices=list(_RATES))
    parser.add_argument("--rate", type=int, help="operations a second (register 2000, call 300)")
    parser.add_argument("--seconds", type=int, default=600)
    arguments = parser.parse_args()
    operation: Operation = arguments.operation
    rate = arguments.rate or _RATES[operation]
    print(f"{operation}: {rate}/s for {arguments.seconds} s", flush=True)
    try:
        build()
        prepare_process()
        with tempfile.TemporaryDirectory(prefix="parley-endurance-") as folder:
            findings = observe(operation, rate, arguments.seconds, Path(folder))
    except (ChildError, LoadError, PortTakenError) as error:
        print(error, file=sys.stderr)
        return 1
    for line in describe(findings):
        print(line)
    missed = list(missed_goals(findings))
    for sentence in missed:
        print(f"MISSED: {sentence}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
