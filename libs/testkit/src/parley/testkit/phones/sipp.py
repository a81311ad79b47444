"""sipp 3.6 as a phone that follows a written scenario.

A scenario is an XML file; rows of users go in as CSV (`[field0]`...), single values as keys
(`[domain]`), and what sipp reads before it starts (statuses, pauses) as `@CONSTANTS@`. These are
the test's; ports and files are made here.
"""

import asyncio
import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from parley.testkit.phones.ports import reserve_ports, serial
from parley.testkit.phones.process import Child, ChildError
from parley.testkit.phones.sip_trace import TracedMessage, of_sipp

_CONSTANT = re.compile(r"@[A-Z_]+@")
_TRANSPORT_MODES = {"udp": "u1", "tcp": "t1"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """What to run.

    Attributes:
        file: the XML scenario.
        remote: `host:port` to send to; a scenario that begins with a request to receive needs none.
        rows: users, one list of fields each; used in turn.
        keys: values for `[name]`.
        constants: values for `@NAME@` anywhere in the file.
        auth_uri: digest URI without `sip:`; sipp's own choice names host and port of `remote`.
        calls: how many before sipp ends.
        rate: calls per second.
        timeout_s: for the whole run.
        host, port, transport: the local side; port 0 picks a free one.
        echoes_rtp: send back what arrives on the media port.
    """

    file: Path
    remote: str = ""
    rows: Sequence[Sequence[str]] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    auth_uri: str = ""
    calls: int = 1
    rate: int = 10
    timeout_s: float = 12.0
    host: str = "127.0.0.1"
    port: int = 0
    transport: Literal["udp", "tcp"] = "udp"
    echoes_rtp: bool = False


@dataclass(frozen=True, slots=True)
class SippResult:
    """How a run ended."""

    exit_status: int
    successful: int
    failed: int
    messages: list[TracedMessage]


class SippRun:
    """A running sipp; a context manager that ends it.

    Attributes:
        scenario: what it runs.
        port: its local port.
    """

    def __init__(self, scenario: Scenario, parent: Path) -> None:
        self.scenario = scenario
        self.port = scenario.port or reserve_ports()
        self._folder = parent / f"sipp-{scenario.file.stem}-{serial()}"
        self._folder.mkdir(parents=True)
        log = self._folder / "screen.txt"
        self._child = Child(f"sipp {scenario.file.name}", self._arguments(), log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.kill()
        if error is not None:
            error.add_note(self._story())

    def messages(self) -> list[TracedMessage]:
        """Every SIP message so far."""
        return of_sipp(self._read("messages.txt"))

    async def finished(self) -> SippResult:
        """Waits for the end; the result of every call of the scenario is checked.

        Raises:
            ChildError: a call failed; the text carries sipp's errors and all messages.
        """
        status = await asyncio.to_thread(self._child.wait, self.scenario.timeout_s + 3.0)
        result = self._result(status)
        if status != 0 or result.failed or result.successful != self.scenario.calls:
            counts = f"{result.successful} of {self.scenario.calls} calls went well"
            raise ChildError(f"sipp {self.scenario.file.name}: {counts}.\n{self._story()}")
        return result

    def _arguments(self) -> list[str]:
        scenario = self.scenario
        arguments = ["sipp", "-sf", str(self._write_scenario()), "-nostdin"]
        arguments += ["-i", scenario.host, "-p", str(self.port)]
        arguments += ["-mi", scenario.host, "-mp", str(reserve_ports(4, align=2))]
        arguments += ["-t", _TRANSPORT_MODES[scenario.transport]]
        arguments += ["-m", str(scenario.calls), "-r", str(scenario.rate)]
        arguments += ["-timeout", f"{scenario.timeout_s:.0f}", "-timeout_error"]
        arguments += ["-trace_msg", "-message_file", str(self._folder / "messages.txt")]
        arguments += ["-trace_err", "-error_file", str(self._folder / "errors.txt")]
        arguments += ["-trace_stat", "-stf", str(self._folder / "stats.txt")]
        if scenario.echoes_rtp:
            arguments.append("-rtp_echo")
        if scenario.auth_uri:
            arguments += ["-auth_uri", scenario.auth_uri]
        if scenario.rows:
            arguments += ["-inf", str(self._write_rows())]
        for name, value in scenario.keys.items():
            arguments += ["-key", name, value]
        return [*arguments, scenario.remote] if scenario.remote else arguments

    def _write_scenario(self) -> Path:
        text = self.scenario.file.read_text("iso-8859-1")
        for name, value in self.scenario.constants.items():
            text = text.replace(f"@{name}@", value)
        missing = _CONSTANT.findall(text)
        assert not missing, f"{self.scenario.file.name} needs constants {sorted(set(missing))}"
        path = self._folder / self.scenario.file.name
        path.write_text(text, "iso-8859-1")
        return path

    def _write_rows(self) -> Path:
        path = self._folder / "users.csv"
        lines = ["SEQUENTIAL", *(";".join(row) for row in self.scenario.rows)]
        path.write_text("\n".join(lines) + "\n")
        return path

    def _result(self, status: int) -> SippResult:
        successful = failed = 0
        rows = list(csv.DictReader(self._read("stats.txt").splitlines(), delimiter=";"))
        if rows:
            successful = int(rows[-1]["SuccessfulCall(C)"])
            failed = int(rows[-1]["FailedCall(C)"])
        return SippResult(status, successful, failed, self.messages())

    def _read(self, name: str) -> str:
        path = self._folder / name
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def _story(self) -> str:
        errors, messages = self._read("errors.txt"), self._read("messages.txt")
        screen = "" if messages else "\n".join(self._child.lines[-20:])
        return f"--- errors of sipp ---\n{errors}\n--- its messages ---\n{messages}{screen}"


def authentication(number: str, password: str) -> str:
    """A field for `rows` that answers the last challenge."""
    return f"[authentication username={number} password={password}]"


async def run_sipp(scenario: Scenario, parent: Path) -> SippResult:
    """Runs a scenario to its end."""
    with SippRun(scenario, parent) as run:
        return await run.finished()
