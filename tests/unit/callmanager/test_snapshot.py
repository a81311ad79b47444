"""What a successor would find."""

from typing import Any

import msgspec
import pytest

from parley.callmanager.errors import MalformedSnapshot
from parley.callmanager.journal import KEPT_EVENTS
from parley.callmanager.outputs import Deadline
from parley.callmanager.parts import CallState
from parley.callmanager.snapshot import decode_invite, decode_snapshot
from parley.model.live_call import decode_live_call
from parley.sip.dialog import Dialog


def test_a_successor_finds_both_dialogs_and_descriptions(talking: Any) -> None:
    stage = talking
    stage.feed(stage.call.handle_timeout)
    snapshot = decode_snapshot(stage.writes[-1])
    assert snapshot.state is CallState.ANSWERED
    caller, callee = snapshot.legs
    assert Dialog.from_record(caller.dialog or {}).id.call_id == "a-call-id"
    restored = Dialog.from_record(callee.dialog or {})
    assert restored.new_request("BYE").get("route") is None
    assert caller.remote
    assert callee.told_body
    assert snapshot.callee == "b1"
    assert snapshot.media.session_id == "call1"
    assert ("cseq", "1 INVITE") in decode_invite(snapshot)


def test_the_first_snapshot_knows_the_phones_that_will_ring(play: Any) -> None:
    stage = play(2)
    snapshot = decode_snapshot(stage.writes[0])
    targets = [leg.target.contact for leg in snapshot.legs if leg.target is not None]
    assert targets == ["sip:1002@192.0.2.2:5070", "sip:1002@192.0.2.3:5070"]
    assert [leg.tag for leg in snapshot.legs[1:]] == [
        sent.request.from_.tag for sent in stage.requests("INVITE")
    ]
    assert snapshot.deadlines[Deadline.RING] == pytest.approx(1_700_000_030.0)
    assert [event.sequence for event in snapshot.events] == [1]


def test_the_public_head_is_readable_by_others(play: Any) -> None:
    live = decode_live_call(play().writes[0])
    assert live.state == "trying"
    assert live.progress.caller == "1001"


def test_the_end_is_written_with_its_termination(talking: Any) -> None:
    stage = talking
    stage.caller_sends("BYE")
    snapshot = decode_snapshot(stage.writes[-1])
    assert snapshot.state is CallState.ENDING
    assert snapshot.termination is not None
    assert snapshot.termination.reason == "hangup"


def test_a_snapshot_is_small(talking: Any) -> None:
    assert len(talking.writes[-1]) < 8 * 1024


def test_garbage_and_other_versions_are_refused(play: Any) -> None:
    data = play().writes[0]
    for length in range(0, len(data), 37):
        with pytest.raises(MalformedSnapshot):
            decode_snapshot(data[:length])
    newer = msgspec.msgpack.decode(data)
    newer["version"] = 99
    with pytest.raises(MalformedSnapshot):
        decode_snapshot(msgspec.msgpack.encode(newer))


def test_published_events_stay_a_while_unpublished_ones_until_they_are_out(talking: Any) -> None:
    journal = talking.call.parts.journal
    for _ in range(20):
        journal.update(talking.now, is_held=False)
    journal.note_written()
    assert len(journal.unpublished) == 20
    journal.mark_published(journal.sequence)
    assert len(journal.events) == KEPT_EVENTS
    assert journal.unpublished == []
