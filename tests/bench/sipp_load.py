"""sipp as caller, callee and registering phone: what the load scripts share."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from parley.testkit.farm.load import percentile
from parley.testkit.phones.line import Line
from parley.testkit.phones.ports import reserve_ports

_SCENARIOS = Path(__file__).parent / "load"
_WARM_UP = 100
_SHORT_S = 60.0
_GRACE_S = 60.0
_MAX_OPEN = 5_000
_ERROR_CHARS = 1500


@dataclass
class Outcome:
    """What sipp tells of its calls or registrations.

    Attributes:
        done: those that went well.
        failed: those that did not, or were not over when sipp ended.
        resent: requests sent again.
        times_ms: from the first request to the 200 of each.
        error: first lines of its error file.
    """

    done: int
    failed: int
    resent: int
    times_ms: list[float] = field(default_factory=list)
    error: str = ""

    def percentile(self, share: float) -> float | None:
        """The time below which that share of them lies, in milliseconds."""
        return percentile(self.times_ms, share) if self.times_ms else None


class Phones:
    """Extensions in two halves, callers and callees, and the ports of their sipp.

    Args:
        folder: for scenarios, statistics and logs.
        lines: extensions; the first half calls the first of the second: sipp names one digest URI
            in all calls of a run, and ours has to name who is called.
        target: `host:port` of the edge.
        domain: of the extensions.
        has_rtp: callers send G.711 and callees echo it.
    """

    def __init__(
        self, folder: Path, lines: Sequence[Line], target: str, domain: str, *, has_rtp: bool
    ) -> None:
        self._folder = folder
        self._target = target
        self._domain = domain
        self._has_rtp = has_rtp
        self._callee_port = reserve_ports()
        half = len(lines) // 2
        self.callees = half
        self._called = f"{lines[half].number}@{domain}"
        self._callers_file = self._write_users("callers", lines[:half], [lines[half]] * half)
        self._callees_file = self._write_users("callees", lines[half:], lines[half:])

    def register(self, count: int = 0, rate: int = 50) -> Outcome:
        """Registers every callee once, or `count` times in turn."""
        number = count or self.callees
        options = ["-inf", str(self._callees_file), "-m", str(number), "-r", str(rate)]
        return self._run("register", options, number, number / rate + _SHORT_S)

    def call(self, number: int, rate: int, hold_s: float) -> Outcome:
        """Makes calls, one after another, at a steady rate."""
        options = ["-inf", str(self._callers_file), "-m", str(number), "-r", str(rate)]
        options += ["-d", str(round(hold_s * 1000)), "-mp", str(reserve_ports(4, align=4))]
        options += ["-auth_uri", self._called]
        return self._run("caller", options, number, number / rate + hold_s + _GRACE_S)

    def warm_up(self, rate: int) -> None:
        """Makes calls that nobody counts."""
        self.call(_WARM_UP, rate, 0.1)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Lets the callees answer."""
        options = ["-rtp_echo"] if self._has_rtp else []
        options += ["-mp", str(reserve_ports(4, align=4))]
        with (self._folder / "callee.log").open("wb") as log:
            process = subprocess.Popen(
                self._command("callee", self._callee_port, options),
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self._folder,
            )
            try:
                yield
            finally:
                process.kill()
                process.wait()

    def _run(self, name: str, options: Sequence[str], number: int, timeout_s: float) -> Outcome:
        port = reserve_ports()
        stem = f"{name}-{port}"
        statistics, errors = self._folder / f"{stem}.csv", self._folder / f"{stem}.errors"
        command = self._command(name, port, options)
        command += ["-trace_stat", "-stf", str(statistics), "-fd", "1", "-trace_rtt"]
        command += ["-rtt_freq", "1", "-trace_err", "-error_file", str(errors), self._target]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=self._folder) as process:
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                print(f"sipp ({name}) did not end in time", file=sys.stderr)
            finally:
                process.kill()
        row = _last_row(statistics)
        times = self._folder / f"{name}_{process.pid}_rtt.csv"
        done = int(row["SuccessfulCall(C)"])
        return Outcome(
            done,
            number - done,
            int(row["Retransmissions(C)"]),
            _read_times(times),
            errors.read_text(errors="replace")[:_ERROR_CHARS] if errors.exists() else "",
        )

    def _command(self, name: str, port: int, options: Sequence[str]) -> list[str]:
        command = ["sipp", "-sf", self._scenario(name), "-i", "127.0.0.1", "-p", str(port)]
        command += ["-mi", "127.0.0.1", "-key", "domain", self._domain, "-nostdin"]
        command += ["-l", str(_MAX_OPEN), "-timer_resol", "1"]
        return [*command, "-key", "callee_port", str(self._callee_port), *options]

    def _scenario(self, name: str) -> str:
        text = (_SCENARIOS / f"{name}.xml").read_text()
        if self._has_rtp:
            text = text.replace("MEDIA_FILE", str(self._silence()))
        else:
            kept = [line for line in text.splitlines() if "rtp_stream=" not in line]
            text = "\n".join(kept).replace("[rtpstream_audio_port]", "[media_port]")
        path = self._folder / f"{name}.xml"
        path.write_text(text)
        return str(path)

    def _silence(self) -> Path:
        """Two seconds of G.711 for sipp to stream."""
        path = self._folder / "voice.raw"
        path.write_bytes(bytes((n * 7) % 256 for n in range(16000)))
        return path

    def _write_users(self, name: str, own: Sequence[Line], others: Sequence[Line]) -> Path:
        rows = ["SEQUENTIAL"]
        for line, other in zip(own, others, strict=False):
            credentials = f"[authentication username={line.number} password={line.password}]"
            rows.append(";".join((line.number, credentials, other.number)))
        path = self._folder / f"{name}.csv"
        path.write_text("\n".join(rows) + "\n")
        return path


def _last_row(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines()
    return dict(zip(lines[0].split(";"), lines[-1].split(";"), strict=False))


def _read_times(path: Path) -> list[float]:
    if not path.exists():
        return []
    rows = [line.split(";") for line in path.read_text().splitlines()[1:]]
    return [float(row[1]) for row in rows if len(row) > 1]
