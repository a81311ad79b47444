"""A platform as a child of the test run: `allinone`, with or without an outer relay, or a cluster.

Everything is told by environment and read back from `demo.json`, as a person would do it; ports are
picked free. At the end the platform is drained by SIGTERM, and anything in its log that should not
be there (a traceback, an error) fails the run.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from parley.testkit.phones.line import Line
from parley.testkit.phones.ports import reserve_ports
from parley.testkit.phones.process import Child, ChildError
from parley.testkit.platform.cluster import ClusterControl

_START_S = 30.0
_STOP_S = 20.0
_CLUSTER_START_S = 150.0
_CLUSTER_STOP_S = 60.0
_RTP_PORTS = 400
_BAD_LEVELS = frozenset(("error", "critical"))


class Topology(StrEnum):
    """How the platform is cut into processes."""

    ALLINONE = "allinone"
    GRPC_RELAY = "grpc-relay"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Edge:
    """Where one edge proxy takes SIP: `host:port` for plain transports and for TLS."""

    sip: str
    sip_tls: str

    def address(self, transport: str) -> str:
        """`host:port` for a transport."""
        return self.sip_tls if transport == "tls" else self.sip


@dataclass(frozen=True, slots=True)
class Demo:
    """What `demo.json` tells."""

    domain: str
    tenant_id: str
    sip: str
    sip_tls: str
    lines: tuple[Line, ...]
    api_url: str
    api_token: str
    wsi_url: str

    @classmethod
    def read(cls, path: Path) -> "Demo":
        """Reads the file that a started platform has written."""
        data = json.loads(path.read_text())
        lines = [
            Line(str(entry["number"]), entry["password"], data["domain"])
            for entry in data["extensions"]
        ]
        api, wsi = data["api"], data["wsi"]
        return cls(
            data["domain"],
            data["tenant_id"],
            data["sip"],
            data["sip_tls"],
            tuple(lines),
            api["url"].rstrip("/"),
            api["token"],
            wsi["url"],
        )


class Platform:
    """A running platform.

    Attributes:
        topology: how it is cut.
        folder: data and logs.
        demo: what it told about itself.
        edges: its edge proxies, each on its own address.
        rtp_ports: where its relays take media.
    """

    def __init__(
        self,
        topology: Topology,
        folder: Path,
        edge_hosts: Iterable[str] = ("127.0.0.1", "127.0.0.2"),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.topology = topology
        self.folder = folder
        self._hosts = tuple(edge_hosts)
        self._sip_port, self._tls_port = reserve_ports(), reserve_ports()
        rtp = reserve_ports(_RTP_PORTS, align=2)
        self.rtp_ports = range(rtp, rtp + _RTP_PORTS)
        self._settings = dict(settings or {})
        self._children: list[Child] = []
        self._logs: list[Path] = []
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._start()
        except BaseException:
            self._kill()
            raise

    @property
    def edges(self) -> tuple[Edge, ...]:
        """One per address."""
        return tuple(
            Edge(f"{host}:{self._sip_port}", f"{host}:{self._tls_port}") for host in self._hosts
        )

    def stop(self) -> None:
        """Drains and ends the platform.

        Raises:
            ChildError: it does not end well, or its log holds what it should not.
        """
        problems = []
        for child in reversed(self._children):
            try:
                status = child.stop(self._stop_s)
                if status != 0:
                    problems.append(str(child.failure("should have ended with status 0")))
            except ChildError as error:
                problems.append(str(error))
            problems += [f"{child.name} logged: {line}" for line in bad_lines(child.lines)]
        for log in self._logs:
            problems += [f"{log.stem} logged: {line}" for line in bad_lines(_lines_of(log))]
        if problems:
            raise ChildError("\n".join(problems))

    @property
    def pid(self) -> int:
        """Process id of what was started last: the platform itself."""
        return self._children[-1].pid

    @property
    def control(self) -> ClusterControl:
        """Processes and servers of a cluster as they are now."""
        return ClusterControl.read(self.folder / "data")

    @property
    def _stop_s(self) -> float:
        return _CLUSTER_STOP_S if self.topology is Topology.CLUSTER else _STOP_S

    def _start(self) -> None:
        if self.topology is Topology.CLUSTER:
            self._start_cluster()
        else:
            self._start_allinone()
        self.demo = Demo.read(self.folder / "data" / "demo.json")

    def _start_cluster(self) -> None:
        environment = {
            "PARLEY_CLUSTER_HOST": self._hosts[0],
            "PARLEY_CLUSTER_EDGE_HOSTS": ",".join(self._hosts[1:]),
            "PARLEY_CLUSTER_SIP_PORT": str(self._sip_port),
            "PARLEY_CLUSTER_SIP_TLS_PORT": str(self._tls_port),
            "PARLEY_CLUSTER_API_PORT": str(reserve_ports()),
            "PARLEY_CLUSTER_WSI_PORT": str(reserve_ports()),
            "PARLEY_CLUSTER_RTP_PORTS": self._rtp_text(),
            "PARLEY_CLUSTER_DATA": str(self.folder / "data"),
            **self._settings,
        }
        cluster = self._spawn("tests.cluster", environment, "up")
        cluster.wait_for_line("Parley is ready", _CLUSTER_START_S)
        self._logs = [part.log for part in self.control.processes.values()]

    def _start_allinone(self) -> None:
        relays = [self._start_relay()] if self.topology is Topology.GRPC_RELAY else []
        health, api, wsi = reserve_ports(), reserve_ports(), reserve_ports()
        environment = {
            "PARLEY_HOST": self._hosts[0],
            "PARLEY_EDGE_HOSTS": ",".join(self._hosts[1:]),
            "PARLEY_SIP_PORT": str(self._sip_port),
            "PARLEY_SIP_TLS_PORT": str(self._tls_port),
            "PARLEY_API_PORT": str(api),
            "PARLEY_WSI_PORT": str(wsi),
            "PARLEY_HEALTH_PORT": str(health),
            "PARLEY_RTP_PORTS": self._rtp_text(),
            "PARLEY_DATA": str(self.folder / "data"),
            "PARLEY_MEDIA_RELAYS": ",".join(relays),
            **self._settings,
        }
        platform = self._spawn("parley.allinone", environment)
        platform.wait_for_line("Parley is ready", _START_S)

    def _start_relay(self) -> str:
        grpc, health = reserve_ports(), reserve_ports()
        environment = {
            "PARLEY_MEDIARELAY_HOST": self._hosts[0],
            "PARLEY_MEDIARELAY_GRPC_PORT": str(grpc),
            "PARLEY_MEDIARELAY_HEALTH_PORT": str(health),
            "PARLEY_MEDIARELAY_RTP_PORTS": self._rtp_text(),
        }
        relay = self._spawn("parley.mediarelay", environment)
        relay.wait_for_line("media relay listens", _START_S)
        return f"{self._hosts[0]}:{grpc}"

    def _spawn(self, module: str, environment: Mapping[str, str], *words: str) -> Child:
        name = module.rpartition(".")[2]
        argv = [sys.executable, "-m", module, *words]
        log = self.folder / f"{name}.log"
        child = Child(name, argv, log, {"PYTHONUNBUFFERED": "1", **environment})
        self._children.append(child)
        return child

    def _rtp_text(self) -> str:
        return f"{self.rtp_ports.start}-{self.rtp_ports.stop - 1}"

    def _kill(self) -> None:
        for child in self._children:
            child.kill()


def _lines_of(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()


def bad_lines(lines: Iterable[str]) -> list[str]:
    """Lines of a platform's log that no test may cause: errors and tracebacks."""
    return [line for line in lines if _is_bad(line)]


def _is_bad(line: str) -> bool:
    if "Traceback" in line:
        return True
    if not line.startswith("{"):
        return False
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return str(entry.get("level", "")).lower() in _BAD_LEVELS
