"""Snapshots of other versions, large ones and broken ones."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from parley.callmanager.actions import SendResponse
from parley.callmanager.errors import MalformedSnapshot
from parley.callmanager.parts import CallState
from parley.callmanager.restore import restore_call, restored_invite
from parley.callmanager.snapshot import Snapshot, decode_snapshot
from parley.sip.message import Request

from .stage import ANSWER, WALL_S, targets
from .succession import Succession, context, talk

DATA = Path(__file__).parents[2] / "data" / "snapshots"


# --- snapshots ---------------------------------------------------------------------------------


def test_unknown_keys_of_a_newer_program_are_ignored() -> None:
    stage = talk()
    newer = msgspec.msgpack.decode(stage.writes[-1])
    newer["later"] = {"a": 1}
    newer["legs"][0]["later"] = [1, 2]
    newer["media"]["later"] = "x"
    stage.writes.append(msgspec.msgpack.encode(newer))
    stage.take_over(100.0)
    assert stage.call.state is CallState.ANSWERED


def test_a_conversation_fits_into_8_kib_and_twenty_phones_do_no_harm() -> None:
    stage = Succession(targets(20))
    assert len(stage.writes[-1]) < 32 * 1024
    stage.take_over()
    for invite in stage.requests("INVITE"):
        stage.answer(invite, 180)
    stage.answer(stage.requests("INVITE")[7], 200, ANSWER)
    stage.ack()
    stage.take_over(100.0)
    stage.caller_sends("BYE")
    stage.hang_up()
    stage.assert_consistent()
    assert stage.is_over()
    assert len(talk().writes[-1]) < 8 * 1024


def test_a_snapshot_that_contradicts_itself_is_refused(talking: Any) -> None:
    good = msgspec.msgpack.decode(talking.writes[-1])
    broken: list[dict[str, Any]] = []
    for path, value in (
        (("legs",), []),
        (("legs", 0, "dialog"), {"call_id": "x"}),
        (("legs", 0, "remote"), b"nonsense"),
        (("state",), "opening"),
        (("invite_uri",), "a b"),
        (("orphans",), [[1, "b9", 2, b""]]),
    ):
        bad = msgspec.msgpack.decode(msgspec.msgpack.encode(good))
        place = bad
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        broken.append(bad)
    for bad in broken:
        snapshot = decode_snapshot(msgspec.msgpack.encode(bad))
        with pytest.raises(MalformedSnapshot):
            restore_call(snapshot, context([]), 2, 9000.0, WALL_S + 60.0)


def test_names_that_are_no_utf_8_break_no_call() -> None:
    names: dict[str, Any] = {"from": '"J\udcfcrgen" <sip:1001@demo.test>;tag=atag'}
    stage = Succession(targets(1), **names)
    stage.take_over()
    stage.establish()
    stage.take_over(100.0)
    stage.caller_sends("BYE")
    stage.hang_up()
    assert stage.is_over()
    assert len(stage.records) == 1


# --- version 1 ---------------------------------------------------------------------------------


def version_1(name: str) -> Snapshot:
    return decode_snapshot((DATA / f"version-1-{name}.msgpack").read_bytes())


def test_a_conversation_of_version_1_goes_on() -> None:
    stage = Succession(targets(1))
    snapshot = version_1("talking")
    assert restored_invite(snapshot).call_id == "a-call-id"
    stage.call = restore_call(snapshot, context([]), 2, 9000.0, WALL_S + 60.0)
    stage.sessions.add(("", "call1"))
    stage.now = 9000.0
    stage.log.clear()
    stage.run()
    bye = stage.caller_sends("BYE")
    assert stage.finals(bye) == [200]
    [sent] = stage.requests("BYE")
    assert sent.request.get("to") == "<sip:1002@demo.test>;tag=btag1"
    stage.answer(sent, 200)
    assert stage.ended == 1
    assert stage.records[0].duration_s == pytest.approx(60.0)


def test_a_call_of_version_1_that_rang_ends_with_the_ringing() -> None:
    adopted: list[Request] = []
    call = restore_call(version_1("ringing"), context(adopted), 2, 9000.0, WALL_S + 10.0)
    assert [request.method for request in adopted] == ["INVITE"]
    call.out.take()
    call.handle_timeout(9030.0)
    refusals = [a.response.status for a in call.out.take() if isinstance(a, SendResponse)]
    assert refusals == [480]
