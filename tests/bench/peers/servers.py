"""The servers under load: how each is found, configured, started and ended."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
from tests.bench.options_probe import OptionsProbe
from tests.bench.peers.load import (
    CALLEE_PORT,
    CALLER_PORT,
    HOST,
    SIP_PORT,
    LoadError,
    Operation,
)

from parley.testkit.phones.process import Child, ChildError

ROOT: Final = Path(__file__).parents[3]
_HERE: Final = Path(__file__).parent
_SIPPY: Final = ROOT / ".tools" / "sippy" / "bin" / "b2bua_simple"
_START_S: Final = 60.0
_TRY_S: Final = 1.0
_STOP_S: Final = 30.0
_NOTICE_S: Final = 1.0
_SERVER_CORE, _LOAD_CORE = 0, 1
_NICENESS: Final = -10


class PortTakenError(Exception):
    """Another program uses a port that the bench needs."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that can be measured.

    Attributes:
        name: as the tables call it.
        version: as it tells itself; empty where it is this very project.
        commands: by operation; an operation that is not there is none of its business.
        environment: added to ours.
        counts: operations of a closed loop that take some seconds.
        ready: a line that it writes once it serves, where answering OPTIONS is not enough.
    """

    name: str
    commands: Mapping[Operation, Sequence[str]]
    counts: Mapping[Operation, int]
    version: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: str = ""

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}".strip()


def parley() -> Server:
    """The whole platform in one process."""
    serve = (sys.executable, "-m", "tests.bench.whole_platform")
    return Server(
        "Parley",
        commands={"register": serve, "call": serve},
        counts={"register": 20_000, "call": 2_000},
        ready="^ready$",
    )


def kamailio(allocator: str = "") -> Server | None:
    """Kamailio as a registrar or a stateful proxy; None: it is not there.

    Args:
        allocator: for its `-x`; empty is the default, as Debian ships it, which checks itself.
    """
    program = shutil.which("kamailio") or shutil.which("kamailio", path="/usr/sbin")
    if program is None:
        return None
    told = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"kamailio (\S+)", told)
    # In the foreground, errors to standard error, memory for a minute of transactions.
    common = [program, "-DD", "-E", "-m", "1024", "-M", "16", "-l", f"udp:{HOST}:{SIP_PORT}"]
    common += ["-x", allocator] if allocator else []
    callee = f'CALLEE="sip:{HOST}:{CALLEE_PORT}"'
    version = found[1] if found else ""
    return Server(
        "Kamailio",
        commands={
            "register": (*common, "-f", str(_HERE / "kamailio" / "registrar.cfg")),
            "call": (*common, "-A", callee, "-f", str(_HERE / "kamailio" / "proxy.cfg")),
        },
        counts={"register": 60_000, "call": 10_000},
        version=f"{version} -x {allocator}" if allocator else version,
    )


def sippy() -> Server | None:
    """Sippy's plain B2BUA without its log, which is the cheapest it can be; None: not there."""
    if not _SIPPY.exists():
        return None
    address = ("-l", HOST, "-p", str(SIP_PORT), "-n", f"{HOST}:{CALLEE_PORT}")
    pins = (_HERE / "sippy.txt").read_text()
    found = re.search(r"^sippy==(\S+)", pins, re.MULTILINE)
    return Server(
        "Sippy",
        commands={"call": (str(_SIPPY), "-f", *address)},
        counts={"call": 2_000},
        version=found[1] if found else "",
        environment={"SIPLOG_BEND": "none"},
    )


def prepare_process() -> None:
    """Puts this process and what it starts on the load's core, ahead of other work where we may.

    SIGTERM then ends it like Ctrl-C does, so that no server outlives it.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if _has_two_cores():
        os.sched_setaffinity(0, {_LOAD_CORE})
    if os.geteuid() == 0:
        os.nice(_NICENESS)


def check_ports() -> None:
    """Raises where another program uses one of the ports."""
    for port in (SIP_PORT, CALLEE_PORT, CALLER_PORT):
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as tried:
            try:
                tried.bind((HOST, port))
            except OSError:
                raise PortTakenError(f"{HOST}:{port} is in use; the bench needs it") from None


@contextmanager
def running(server: Server, operation: Operation, folder: Path) -> Iterator[int]:
    """Runs a server on its core until the block ends; gives its process id.

    Raises:
        ChildError: it did not start, or ended before the block did, whatever that met with then.
        PortTakenError: another program uses its ports.
    """
    check_ports()
    pinned = ("taskset", "-c", str(_SERVER_CORE)) if _has_two_cores() else ()
    argv = (*pinned, *server.commands[operation])
    log = folder / f"{server.name.lower()}.log"
    with Child(server.name, argv, log, server.environment, ROOT) as child:
        if server.ready:
            child.wait_for_line(server.ready, _START_S)
        _wait_for_answer(child)
        try:
            yield child.pid
        except (LoadError, ProcessLookupError, psutil.NoSuchProcess):
            if not _has_ended(child):
                raise
            raise child.failure("ended under load") from None
        if not child.is_running:
            raise child.failure("ended under load")
        child.stop(_STOP_S)


def _has_ended(child: Child) -> bool:
    """Whoever finds the process gone may be faster than those who wait for its end."""
    try:
        child.wait(_NOTICE_S)
    except ChildError:
        return False
    return True


def _wait_for_answer(child: Child) -> None:
    until = time.perf_counter() + _START_S
    with OptionsProbe((HOST, SIP_PORT)) as probe:
        while not probe.wait_for_server(_TRY_S):
            if not child.is_running or time.perf_counter() > until:
                raise child.failure(f"did not answer within {_START_S:g} s")


def _has_two_cores() -> bool:
    return {_SERVER_CORE, _LOAD_CORE} <= set(range(os.cpu_count() or 1))
