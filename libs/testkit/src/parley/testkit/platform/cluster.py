"""A local cluster as a test sees it: what `control.json` tells."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Part:
    """A process of a service, or a backing server.

    Attributes:
        name: `edgeproxy-1`, `redis`.
        service: package of the service; empty for a server.
        pid: process id; 0 while it does not run.
        ports: by the name of their setting; empty for a server.
        log: file with its output.
    """

    name: str
    service: str
    pid: int
    ports: dict[str, int]
    log: Path


@dataclass(frozen=True, slots=True)
class ClusterControl:
    """A running cluster.

    Attributes:
        pid: of the supervisor.
        url: the supervisor's interface: `POST /restart/<name>`.
        token: for that, as bearer.
        processes: of all services, by name.
        servers: backing servers, by name.
        backing: environment by which any program finds the servers.
        api_urls: of all REST gateways.
        wsi_urls: of all WebSocket gateways.
    """

    pid: int
    url: str
    token: str
    processes: dict[str, Part]
    servers: dict[str, Part]
    backing: dict[str, str]
    api_urls: tuple[str, ...]
    wsi_urls: tuple[str, ...]

    @classmethod
    def read(cls, data: Path) -> "ClusterControl":
        """Reads the file in a cluster's data folder; pids change, so read it again."""
        content = json.loads((data / "control.json").read_text())
        return cls(
            content["pid"],
            content["url"],
            content["token"],
            {each["name"]: _part(each) for each in content["processes"]},
            {each["name"]: _part(each) for each in content["servers"]},
            content["backing"],
            tuple(content["api_urls"]),
            tuple(content["wsi_urls"]),
        )

    def of(self, service: str) -> list[Part]:
        """The processes of one service, in order."""
        return [part for part in self.processes.values() if part.service == service]


def _part(entry: dict[str, object]) -> Part:
    ports = entry.get("ports", {})
    assert isinstance(ports, dict)
    pid = entry["pid"]
    assert isinstance(pid, int)
    return Part(
        str(entry["name"]), str(entry.get("service", "")), pid, dict(ports), Path(str(entry["log"]))
    )
