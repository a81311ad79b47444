"""Child processes: how they end, and what is known of them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cluster.child import Child
from tests.cluster.guard import birth

_WAIT_S = 5.0
Start = Callable[[str], Child]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    children: list[Child] = []

    def start(program: str) -> Child:
        argv = [sys.executable, "-c", program]
        children.append(Child("child", argv, tmp_path / "child.log"))
        return children[-1]

    yield start
    for child in children:
        child.kill()


def _until(is_true: Callable[[], bool]) -> None:
    until = time.perf_counter() + _WAIT_S
    while not is_true():
        assert time.perf_counter() < until
        time.sleep(0.01)


def test_a_stopped_child_ends_by_itself(start: Start) -> None:
    child = start("import time; print('up', flush=True); time.sleep(60)")
    _until(lambda: child.tail() == "up")
    assert child.stop(_WAIT_S)
    assert child.status == -15


def test_a_child_that_will_not_end_is_killed(start: Start) -> None:
    child = start(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('up', flush=True); time.sleep(60)"
    )
    _until(lambda: child.tail() == "up")
    assert not child.stop(0.1)
    assert child.status == -9


def test_descendants_are_killed_too(start: Start) -> None:
    child = start(
        "import subprocess, sys, time\n"
        "inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        " start_new_session=True)\n"
        "print(inner.pid, flush=True); time.sleep(60)"
    )
    _until(lambda: child.tail().isdigit())
    inner = int(child.tail())
    assert birth(inner)
    child.kill()
    assert not birth(inner)


def test_a_frozen_child_is_thawed(start: Start) -> None:
    child = start("import time\nwhile True: print('x', flush=True); time.sleep(0.01)")
    _until(lambda: bool(child.tail()))
    child.freeze()
    _until(lambda: " T " in Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii"))
    child.thaw()
    size = child.log.stat().st_size
    _until(lambda: child.log.stat().st_size > size)


def test_a_child_is_frozen_while_its_own_children_come_and_go(start: Start) -> None:
    child = start(
        "import os\n"
        "while True:\n"
        "    pid = os.fork()\n"
        "    if not pid: os._exit(0)\n"
        "    os.waitpid(pid, 0)"
    )
    for _ in range(300):
        child.freeze()
        child.thaw()
    assert child.is_running


def test_a_zombie_counts_as_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert birth(ended.pid) == ""


def test_a_process_is_known_by_its_birth() -> None:
    assert birth(os.getpid()) == birth(os.getpid()) != ""
