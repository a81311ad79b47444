"""Partitions between one process and a port on the same machine, by iptables and a control group.

A connection that exists is cut by its own port, connections to come by the control group of the
process: a socket belongs to the group in which its process was when it was made.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
from tests.chaos.scenario import Skipped

_ROOTS: Final = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
_GROUP: Final = "parley-chaos"
_TIMEOUT_S: Final = 10.0


@contextmanager
def partition(pid: int, ports: set[int], *, replies_only: bool = False) -> Iterator[None]:
    """Drops what goes between a process and TCP listeners at these ports, while it is entered.

    Args:
        pid: of the process that connects to the ports.
        ports: of the listeners.
        replies_only: what the process sends arrives, answers do not; connections that it opens
            meanwhile are not touched.

    Raises:
        Skipped: this machine does not let us.
    """
    group = _make_group()
    added: list[list[str]] = []
    try:
        (group / "cgroup.procs").write_text(str(pid))
        for rule in _rules(pid, ports, replies_only=replies_only):
            _iptables("-I", rule)
            added.append(rule)
        yield
    finally:
        for rule in added:
            _iptables("-D", rule)
        if psutil.pid_exists(pid):
            (group.parent / "cgroup.procs").write_text(str(pid))
        group.rmdir()


def _rules(pid: int, ports: set[int], *, replies_only: bool) -> list[list[str]]:
    rules = []
    for connection in psutil.Process(pid).net_connections("tcp"):
        if connection.raddr and connection.raddr.port in ports:
            here, there = str(connection.laddr.port), str(connection.raddr.port)
            rules.append(["-p", "tcp", "--sport", there, "--dport", here])
            if not replies_only:
                rules.append(["-p", "tcp", "--sport", here, "--dport", there])
    if not replies_only:
        rules += [
            ["-p", "tcp", "-m", "cgroup", "--path", _GROUP, "--dport", str(port)] for port in ports
        ]
    return [["OUTPUT", "-o", "lo", *rule, "-j", "DROP"] for rule in rules]


def _make_group() -> Path:
    if os.geteuid() != 0 or shutil.which("iptables") is None:
        raise Skipped("Partitions need root and iptables.")
    for root in _ROOTS:
        if (root / "cgroup.procs").exists():
            group = root / _GROUP
            group.mkdir(exist_ok=True)
            return group
    raise Skipped("Partitions need control groups of version 2.")


def _iptables(action: str, rule: list[str]) -> None:
    done = subprocess.run(
        ["iptables", "-w", action, *rule],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise Skipped(f"iptables refuses what partitions need: {done.stderr.strip()}.")
