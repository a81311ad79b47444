"""`control.json`: where everything of a running cluster is, for people, tools and tests."""

from pathlib import Path

import msgspec
from msgspec import Struct

from parley.allinone.private_file import write_private

FILE_NAME = "control.json"


class ServerEntry(Struct, frozen=True, kw_only=True):
    """A backing server; `pid` is 0 while it does not run."""

    name: str
    pid: int
    url: str
    log: str


class ProcessEntry(Struct, frozen=True, kw_only=True):
    """A process of a service; `pid` is 0 while it does not run.

    Attributes:
        ports: by the name of their setting.
        health: URL before `/readyz`.
    """

    name: str
    service: str
    number: int
    host: str
    pid: int
    ports: dict[str, int]
    health: str
    log: str


class Control(Struct, frozen=True, kw_only=True):
    """A cluster.

    Attributes:
        pid: of the supervisor; it stops everything when it gets SIGTERM.
        url: the supervisor's own HTTP interface.
        token: that opens it.
        backing: environment (`PARLEY_BACKING_*`) by which any program finds the servers.
        demo: path of the demo tenant's file.
    """

    pid: int
    url: str
    token: str
    host: str
    sip: str
    sip_tls: str
    api_urls: list[str]
    wsi_urls: list[str]
    servers: list[ServerEntry]
    processes: list[ProcessEntry]
    backing: dict[str, str]
    demo: str

    def process(self, name: str) -> ProcessEntry:
        """The process of that name.

        Raises:
            KeyError: there is none.
        """
        for entry in self.processes:
            if entry.name == name:
                return entry
        raise KeyError(name)


def read_control(data: Path) -> Control | None:
    """Reads the file of the cluster with this data folder; None when there is none."""
    try:
        return msgspec.json.decode((data / FILE_NAME).read_bytes(), type=Control)
    except (OSError, msgspec.DecodeError):
        return None


def write_control(data: Path, control: Control) -> None:
    """Replaces the file; it holds secrets, so its owner alone can read it."""
    write_private(data / FILE_NAME, msgspec.json.format(msgspec.json.encode(control)) + b"\n")


def remove_control(data: Path) -> None:
    """Removes the file."""
    (data / FILE_NAME).unlink(missing_ok=True)
