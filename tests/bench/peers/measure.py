"""One round of one server: started anew, warmed up, loaded, and what that cost it."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.peers.load import Load, Operation, Outcome, run
from tests.bench.peers.servers import Server, running
from tests.bench.schedstat import cpu_time

_WARM_UP: Final = 500
_SETTLE_S: Final = 0.3
_RATE_SHORTFALL: Final = 0.02
_RATE_S: Final = 10


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured.

    Attributes:
        name: for the command line.
        title: of its table.
        operation: that is counted.
        rate: operations that begin in a second; 0 is a closed loop.
    """

    name: str
    title: str
    operation: Operation
    rate: int = 0

    def load_for(self, server: Server) -> Load:
        """A load that takes some seconds."""
        count = self.rate * _RATE_S or server.counts[self.operation]
        return Load(self.operation, count, self.rate)


MEASURES: Final = (
    Measure("register", "REGISTER, 401, REGISTER with digest, 200", "register"),
    Measure("call", "INVITE, 180, 200, ACK, BYE, 200", "call"),
    Measure("rate", "The same call, 100 a second", "call", rate=100),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one round found.

    Attributes:
        cpu_us: CPU of the server for each operation.
        per_s: operations a second.
        setup_ms, slow_ms: INVITE to 200, median; whole operation, 99th percentile.
        server_share, load_share: of a core.
        resent: requests that the load sent again.
        complaint: why the round does not count; empty where it does.
    """

    cpu_us: float
    per_s: float
    setup_ms: float
    slow_ms: float
    server_share: float
    load_share: float
    resent: int
    complaint: str = ""


def measure(what: Measure, server: Server) -> Sample:
    """Runs one round.

    Raises:
        ChildError, LoadError, PortTakenError: there was no round.
    """
    load = what.load_for(server)
    with (
        tempfile.TemporaryDirectory(prefix="parley-peers-") as folder,
        running(server, what.operation, Path(folder)) as pid,
    ):
        warmed = run(Load(what.operation, _WARM_UP))
        time.sleep(_SETTLE_S)
        before = cpu_time(pid)
        outcome = run(load)
        # What the server still has to write down is part of the cost.
        time.sleep(_SETTLE_S)
        spent_s = (cpu_time(pid) - before).ran_ns / 1e9
    return judge(load, warmed, outcome, spent_s)


def judge(load: Load, warmed: Outcome, outcome: Outcome, spent_s: float) -> Sample:
    """Makes a sample of what was counted."""
    complaint = warmed.complaint or outcome.complaint
    if not complaint and load.rate and outcome.rate < load.rate * (1 - _RATE_SHORTFALL):
        complaint = f"only {outcome.rate:.0f} of {load.rate} a second were served"
    return Sample(
        cpu_us=spent_s * 1e6 / max(outcome.ok, 1),
        per_s=outcome.rate,
        setup_ms=outcome.setup_ms_p50,
        slow_ms=outcome.op_ms_p99,
        server_share=spent_s / outcome.wall_s,
        load_share=outcome.load_cpu_s / outcome.wall_s,
        resent=outcome.resent,
        complaint=complaint,
    )
