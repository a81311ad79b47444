"""Calls when the all-in-one process stops, politely or not."""

import os
import signal
from typing import Any

import pytest

from parley.sip.message import Request
from parley.testkit.phones.raw_phone import RawPhone
from parley.testkit.platform.installation import Installation, end
from parley.testkit.platform.running import bad_lines

pytestmark = pytest.mark.timeout(90)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_hangs_up_both_legs_and_keeps_the_record(
    installation: Installation, number: signal.Signals
) -> None:
    child = installation.start()
    caller, callee = installation.phone(0), installation.phone(1)
    callee.register()
    caller.call(callee)
    os.kill(child.pid, number)
    for phone in (caller, callee):
        bye = phone.expect("BYE", timeout_s=10.0)
        assert "Shutting down" in (bye.get("reason") or "")
        phone.respond(bye, 200)
    assert child.wait(20.0) == 0
    assert bad_lines(child.lines) == []
    child = installation.start()
    [record] = installation.get("cdrs")
    assert_lost(record, "shutdown")
    end(child)


def test_a_stop_while_a_phone_rings_ends_both_sides(installation: Installation) -> None:
    child = installation.start()
    caller, callee = installation.phone(0), installation.phone(1)
    callee.register()
    invite = ringing(caller, callee)
    os.kill(child.pid, signal.SIGTERM)
    cancel = callee.expect("CANCEL", timeout_s=10.0)
    callee.respond(cancel, 200)
    callee.respond(invite, 487)
    assert child.wait(20.0) == 0
    assert bad_lines(child.lines) == []
    child = installation.start()
    [record] = installation.get("cdrs")
    assert record["answered_at"] is None
    end(child)


def test_a_second_signal_stops_at_once(installation: Installation) -> None:
    child = installation.start(PARLEY_DRAIN_S="60")
    caller, callee = installation.phone(0), installation.phone(1)
    callee.register()
    caller.call(callee)
    os.kill(child.pid, signal.SIGINT)
    child.wait_for_line("draining", 5.0)
    os.kill(child.pid, signal.SIGINT)
    child.wait(20.0)
    assert bad_lines(child.lines) == []


def test_a_call_that_dies_with_the_process_gets_its_one_record_at_the_next_start(
    installation: Installation,
) -> None:
    child = installation.start()
    caller, callee = installation.phone(0), installation.phone(1)
    callee.register()
    caller.call(callee)
    [live] = installation.get("calls")
    assert live["state"] == "answered"
    child.kill()

    child = installation.start()
    [record] = installation.wait_for("cdrs")
    assert record["call_id"] == live["call_id"]
    assert (record["caller"], record["callee"]) == ("1001", "1002")
    assert_lost(record, "lost")
    assert installation.get("calls") == []
    end(child)

    child = installation.start()
    assert len(installation.get("cdrs")) == 1
    end(child)


def test_a_call_that_rang_when_the_process_died_gets_its_record_too(
    installation: Installation,
) -> None:
    child = installation.start()
    caller, callee = installation.phone(0), installation.phone(1)
    callee.register()
    ringing(caller, callee)
    assert caller.hear() == 180
    installation.wait_for("calls")
    child.kill()
    child = installation.start()
    [record] = installation.wait_for("cdrs")
    assert record["answered_at"] is None
    assert record["termination"]["result"] == "lost"
    end(child)


def test_a_call_that_had_ended_when_the_process_died_keeps_its_record(
    installation: Installation,
) -> None:
    child = installation.start()
    caller, callee = installation.phone(0), installation.phone(1)
    callee.register()
    mine, _ = caller.call(callee)
    caller.send(caller.in_dialog(mine.new_request("BYE")))
    callee.respond(callee.expect("BYE"), 200)
    child.kill()
    child = installation.start()
    [record] = installation.wait_for("cdrs")
    assert record["termination"]["result"] == "answered"
    end(child)


def ringing(caller: RawPhone, callee: RawPhone) -> Request:
    """Makes a phone ring; returns the INVITE that it got."""
    caller.begin_call(callee)
    offered = callee.expect("INVITE")
    callee.respond(offered, 180)
    return offered


def assert_lost(record: dict[str, Any], reason: str) -> None:
    termination = record["termination"]
    assert (termination["result"], termination["reason"]) == ("lost", reason)
    assert (termination["sip_status"], termination["by"]) == (200, "platform")
    assert record["started_at"] <= record["answered_at"] <= record["ended_at"]
    assert 0 <= record["duration_s"] < 10
