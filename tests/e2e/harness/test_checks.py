"""Checks on what a platform leaves behind."""

import json
from pathlib import Path
from typing import Any

import pytest

from parley.testkit.phones.ports import reserve_ports
from parley.testkit.platform.desk import check_times, ending
from parley.testkit.platform.running import Demo, bad_lines

RECORD: dict[str, Any] = {
    "started_at": "2026-01-01T10:00:00Z",
    "ringing_at": "2026-01-01T10:00:01.5Z",
    "answered_at": "2026-01-01T10:00:03Z",
    "ended_at": "2026-01-01T10:00:05.25Z",
    "duration_s": 2.25,
    "termination": {"result": "answered", "sip_status": 200, "by": "caller", "reason": "hangup"},
}


def test_errors_and_tracebacks_are_found_in_a_log() -> None:
    good = ['{"level":"info","event":"no error here"}', "Parley is ready", "{broken", ""]
    bad = ['{"level":"error","event":"x"}', "Traceback (most recent call last):"]
    assert bad_lines([*good, *bad]) == bad


def test_right_times_pass() -> None:
    check_times(RECORD)
    check_times({**RECORD, "answered_at": None, "duration_s": 0})
    assert ending(RECORD) == ("answered", 200, "caller")


@pytest.mark.parametrize(
    "wrong",
    [
        {"duration_s": 3},
        {"ended_at": "2026-01-01T09:00:00Z"},
        {"answered_at": None},
        {"ringing_at": "2026-01-01T10:00:04Z"},
    ],
)
def test_wrong_times_are_found(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        check_times({**RECORD, **wrong})


def test_demo_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    data = {
        "domain": "demo.localhost",
        "tenant_id": "demo",
        "sip": "127.0.0.1:5060",
        "sip_tls": "127.0.0.1:5061",
        "extensions": [{"number": "1001", "password": "x"}],
        "api": {"url": "http://127.0.0.1:8080/", "token": "t"},
        "wsi": {"url": "ws://127.0.0.1:8081/v1/events"},
    }
    path.write_text(json.dumps(data))
    demo = Demo.read(path)
    assert demo.lines[0].domain == "demo.localhost"
    assert demo.api_url == "http://127.0.0.1:8080"


def test_ports_are_given_once() -> None:
    blocks = [reserve_ports(10, align=2) for _ in range(20)]
    assert all(first % 2 == 0 for first in blocks)
    assert len({port for first in blocks for port in range(first, first + 10)}) == 200
