"""sipp as the phone of an extension: registers on its own port, then follows scenarios there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from parley.testkit.phones.line import Line
from parley.testkit.phones.ports import reserve_ports
from parley.testkit.phones.sipp import Scenario, SippResult, SippRun, authentication, run_sipp
from parley.testkit.platform.running import Edge

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SippLine:
    """One extension's phone; every scenario finds `[field0]` number, `[field1]` authentication.

    Attributes:
        line: the extension.
        edge: where it registers and calls.
        folder: for logs.
        port: its SIP port, the same for all its scenarios.
    """

    line: Line
    edge: Edge
    folder: Path
    port: int
    transport: Literal["udp", "tcp"] = "udp"

    @classmethod
    def of(
        cls, line: Line, edge: Edge, folder: Path, transport: Literal["udp", "tcp"] = "udp"
    ) -> "SippLine":
        """A phone on a free port."""
        return cls(line, edge, folder, reserve_ports(), transport)

    def scenario(
        self, file: Path, callee: str = "", constants: Mapping[str, str] = _NONE
    ) -> Scenario:
        """A scenario as this phone; `callee` is the number it dials."""
        number, password, domain = self.line.number, self.line.password, self.line.domain
        return Scenario(
            file,
            self.edge.address(self.transport),
            rows=[[number, authentication(number, password)]],
            keys={"domain": domain, "callee": callee},
            constants=constants,
            auth_uri=f"{callee}@{domain}" if callee else domain,
            port=self.port,
            transport=self.transport,
        )

    def start(self, file: Path, callee: str = "", **constants: str) -> SippRun:
        """Starts a scenario, for instance one that waits for a call."""
        return SippRun(self.scenario(file, callee, constants), self.folder)

    async def run(self, file: Path, callee: str = "", **constants: str) -> SippResult:
        """Runs a scenario to its end."""
        return await run_sipp(self.scenario(file, callee, constants), self.folder)
