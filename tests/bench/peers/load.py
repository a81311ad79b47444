"""The load generator: C sources in `generator/`, compiled at the first use into `.tools`."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Operation = Literal["register", "call"]

HOST: Final = "127.0.0.1"
SIP_PORT, CALLEE_PORT, CALLER_PORT = 5060, 5070, 5080
UNDER_WAY: Final = 50

_SOURCES: Final = Path(__file__).parent / "generator"
_PROGRAM: Final = Path(__file__).parents[3] / ".tools" / "sipload"
_LIMIT_S: Final = 60.0
_GRACE_S: Final = 10.0


class LoadError(Exception):
    """The load generator cannot be built or told nothing."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the server gets.

    Attributes:
        operation: `register` is REGISTER, 401, REGISTER with digest, 200; `call` is INVITE, 180,
            200, ACK, BYE, 200.
        count: how many.
        rate: how many begin in a second; 0 is a closed loop.
        under_way: how many at a time at most.
    """

    operation: Operation
    count: int
    rate: int = 0
    under_way: int = UNDER_WAY

    @property
    def limit_s(self) -> float:
        """When the generator gives up."""
        return _LIMIT_S + (self.count / self.rate if self.rate else 0.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the generator tells; latencies in milliseconds, of operations that went well."""

    ok: int
    failed: int
    resent: int
    wall_s: float
    load_cpu_s: float
    op_ms_p50: float
    op_ms_p99: float
    setup_ms_p50: float
    setup_ms_p99: float
    first_failure: str

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.ok / self.wall_s

    @property
    def complaint(self) -> str:
        """A sentence where an operation failed, otherwise nothing."""
        if not self.failed:
            return ""
        return f"{self.failed} of {self.ok + self.failed} failed ({self.first_failure})"


def build() -> None:
    """Compiles the generator where it is missing or older than its sources."""
    sources = sorted(_SOURCES.glob("*.[ch]"))
    if _PROGRAM.exists() and _PROGRAM.stat().st_mtime > max(s.stat().st_mtime for s in sources):
        return
    compiler = shutil.which("cc")
    if compiler is None:
        raise LoadError("the load generator is compiled from C: install a compiler (Debian: gcc)")
    _PROGRAM.parent.mkdir(exist_ok=True)
    inputs = [str(source) for source in sources if source.suffix == ".c"]
    command = [compiler, "-std=gnu11", "-O2", "-Wall", "-o", str(_PROGRAM), *inputs, "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoadError(f"the load generator does not compile: {done.stderr}")


def command(load: Load) -> Sequence[str]:
    """The command line of the generator for a load."""
    return (
        str(_PROGRAM),
        load.operation,
        *("-t", f"{HOST}:{SIP_PORT}", "-l", str(CALLER_PORT), "-a", str(CALLEE_PORT)),
        *("-n", str(load.count), "-w", str(load.under_way), "-r", str(load.rate)),
        *("-T", str(load.limit_s)),
    )


def parse_outcome(text: str) -> Outcome:
    """Reads what the generator printed."""
    try:
        return Outcome(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise LoadError(f"the load generator told no figures: {text!r}") from error


def run(load: Load) -> Outcome:
    """Carries out a load."""
    try:
        done = subprocess.run(
            command(load),
            capture_output=True,
            text=True,
            check=False,
            timeout=load.limit_s + _GRACE_S,
        )
    except subprocess.TimeoutExpired:
        raise LoadError("the load generator did not end") from None
    if not done.stdout:
        raise LoadError(f"the load generator told no figures: {done.stderr.strip()}")
    return parse_outcome(done.stdout)
