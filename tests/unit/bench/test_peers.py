"""What the rounds beside peers found is judged and compared without making it look better."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.bench.meters import rss
from tests.bench.peers import __main__ as peers
from tests.bench.peers import servers
from tests.bench.peers.load import Load, LoadError, Outcome, parse_outcome
from tests.bench.peers.measure import MEASURES, Measure, Sample, judge
from tests.bench.peers.report import Ratio, median_of, progress, ratio, table
from tests.bench.peers.servers import PortTakenError, Server, running
from tests.bench.schedstat import cpu_time

from parley.testkit.phones.process import ChildError

REGISTER, CALL, RATE = MEASURES
GOOD = Outcome(
    ok=1000,
    failed=0,
    resent=0,
    wall_s=10.0,
    load_cpu_s=1.0,
    op_ms_p50=2.0,
    op_ms_p99=9.0,
    setup_ms_p50=1.5,
    setup_ms_p99=8.0,
    first_failure="",
)


def sample(cpu_us: float, complaint: str = "") -> Sample:
    return Sample(
        cpu_us=cpu_us,
        per_s=1e6 / cpu_us,
        setup_ms=1.5,
        slow_ms=9.0,
        server_share=1.0,
        load_share=0.1,
        resent=2,
        complaint=complaint,
    )


def test_cost_is_the_cpu_spent_over_the_operations() -> None:
    judged = judge(Load("call", 1000), GOOD, GOOD, spent_s=2.0)

    assert (judged.cpu_us, judged.server_share, judged.complaint) == (2000.0, 0.2, "")


def test_a_round_with_a_failed_operation_does_not_count() -> None:
    outcome = replace(GOOD, ok=999, failed=1, first_failure="503 Busy")

    judged = judge(Load("call", 1000), GOOD, outcome, spent_s=2.0)

    assert judged.complaint == "1 of 1000 failed (503 Busy)"


def test_a_failure_while_warming_up_counts_as_one() -> None:
    warmed = replace(GOOD, ok=0, failed=500, first_failure="no answer")

    assert judge(Load("call", 1000), warmed, GOOD, spent_s=2.0).complaint


def test_a_server_that_falls_behind_the_rate_does_not_count() -> None:
    behind = replace(GOOD, wall_s=10.5)

    judged = judge(Load("call", 1000, rate=100), GOOD, behind, spent_s=2.0)

    assert judged.complaint == "only 95 of 100 a second were served"


def test_the_median_is_that_of_the_rounds_that_count() -> None:
    samples = [sample(10), None, sample(1, "1 of 1000 failed"), sample(30), sample(20)]

    assert median_of(samples, lambda each: each.cpu_us) == 20
    assert median_of([None], lambda each: each.cpu_us) is None


def test_servers_are_compared_within_each_round() -> None:
    mine, others = [sample(20), sample(60), sample(30)], [sample(10), sample(20), sample(10)]

    assert ratio(mine, others) == Ratio(3.0, 2.0, 3.0)


def test_a_round_that_broke_off_for_one_is_compared_for_none() -> None:
    assert ratio([sample(20), None], [sample(10), sample(20)]) == Ratio(2.0, 2.0, 2.0)
    assert ratio([None], [sample(10)]) is None


def test_a_table_compares_everybody_to_the_first() -> None:
    text = table(CALL, {"Parley": [sample(1500)], "Other 1.0": [sample(2000)]}, 50)

    assert text.splitlines()[2:] == [
        "| Parley | 1 500 µs | 1 |  | 667 | 2 |",
        "| Other 1.0 | 2 000 µs | 0.75 | 0.75 to 0.75 | 500 | 2 |",
    ]


def test_a_table_at_a_rate_tells_times() -> None:
    lines = table(RATE, {"Parley": [sample(1500)]}, 50).splitlines()

    assert lines[2] == "| Parley | 1 500 µs | 1 |  | 1.5 ms | 9.0 ms | 2 |"


@pytest.mark.parametrize("what", MEASURES)
def test_every_row_has_as_many_cells_as_the_head(what: Measure) -> None:
    found: dict[str, list[Sample | None]]
    found = {"Parley": [sample(1500)], "Other": [None], "Third": [sample(20)]}

    assert len({line.count("|") for line in table(what, found, 50).splitlines()}) == 1


def test_a_round_that_does_not_count_says_so() -> None:
    assert "NOT COUNTED: 1 failed" in progress(1, "Parley", sample(10, "1 failed"))


def test_figures_that_are_none_are_refused() -> None:
    with pytest.raises(LoadError):
        parse_outcome("Segmentation fault")
    with pytest.raises(LoadError):
        parse_outcome('{"ok": 1}')


SERVER = Server(
    "Server",
    commands={
        "call": (sys.executable, "-c", "import signal; print('ready', flush=True); signal.pause()")
    },
    counts={"call": 1000},
    ready="^ready$",
)


def _load(pid: int) -> None:
    while psutil.pid_exists(pid):
        pass
    raise LoadError("the load generator told no figures")


@pytest.mark.parametrize("look", [rss, cpu_time, _load])
def test_a_server_that_ends_under_load_is_told_as_such(
    look: Callable[[int], object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("check_ports", "_wait_for_answer"):
        monkeypatch.setattr(servers, name, lambda *_: None)
    with (
        pytest.raises(ChildError, match="ended under load"),
        running(SERVER, "call", tmp_path) as pid,
    ):
        os.kill(pid, signal.SIGKILL)
        while True:
            look(pid)


@pytest.mark.parametrize("error", [ChildError, LoadError, PortTakenError])
def test_a_round_that_breaks_off_leaves_the_others(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [sample(30), None, sample(20)]

    def measure(*_: object) -> Sample:
        taken = found.pop()
        if taken is None:
            raise error("it ended")
        return taken

    monkeypatch.setattr(peers, "measure", measure)

    assert peers.run_rounds([CALL], [SERVER], 3) == {
        "call": {"Server": [sample(20), None, sample(30)]}
    }
