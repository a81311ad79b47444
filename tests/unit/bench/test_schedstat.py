"""CPU time is that of a process with its threads and the processes that it started."""

from pathlib import Path

import pytest
from tests.bench.schedstat import CpuTime, cpu_time, parse_schedstat


def write_thread(proc: Path, pid: int, tid: int, schedstat: str, children: str = "") -> None:
    folder = proc / str(pid) / "task" / str(tid)
    folder.mkdir(parents=True)
    (folder / "schedstat").write_text(schedstat)
    (folder / "children").write_text(children)


def test_an_account_tells_the_time_run_and_the_time_waited() -> None:
    assert parse_schedstat("123456789 4567 89\n") == CpuTime(123456789, 4567)


def test_threads_and_children_of_children_are_counted(tmp_path: Path) -> None:
    write_thread(tmp_path, 10, 10, "1000 1 1", "20 ")
    write_thread(tmp_path, 10, 11, "200 2 1")
    write_thread(tmp_path, 20, 20, "30 3 1", "40")
    write_thread(tmp_path, 40, 40, "4 4 1")

    assert cpu_time(10, tmp_path) == CpuTime(1234, 10)


def test_a_child_that_ends_meanwhile_is_left_out(tmp_path: Path) -> None:
    write_thread(tmp_path, 10, 10, "1000 0 1", "20")

    assert cpu_time(10, tmp_path) == CpuTime(1000, 0)


def test_a_process_that_is_not_there_has_no_account(tmp_path: Path) -> None:
    with pytest.raises(ProcessLookupError):
        cpu_time(10, tmp_path)
