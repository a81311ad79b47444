"""Owning a child process."""

import sys
from pathlib import Path

import pytest

from parley.testkit.phones.process import Child, ChildError

WAITS = "import sys; print('ready', flush=True); sys.stdin.close(); import signal; signal.pause()"


def test_line_is_waited_for_and_the_child_stopped(tmp_path: Path) -> None:
    with Child("python", [sys.executable, "-c", WAITS], tmp_path / "log") as child:
        assert child.wait_for_line("^ready$", 5.0) == "ready"
        assert child.is_running
        assert child.stop() == -15
    assert (tmp_path / "log").read_text() == "ready\n"


def test_missing_line_tells_the_output(tmp_path: Path) -> None:
    with (
        Child("python", [sys.executable, "-c", "print('other')"], tmp_path / "log") as child,
        pytest.raises(ChildError, match=r"(?s)ended with status 0.*other"),
    ):
        child.wait_for_line("ready", 5.0)


def test_child_that_goes_on_is_told(tmp_path: Path) -> None:
    with Child("python", [sys.executable, "-c", WAITS], tmp_path / "log") as child:
        child.wait_for_line("ready", 5.0)
        with pytest.raises(ChildError, match="still ran after"):
            child.wait(0.1)
    assert not child.is_running
