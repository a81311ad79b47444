"""Calls on the move between relays that also change their owner."""

from typing import Any

import pytest

from parley.callmanager.actions import MediaPurpose, SendRequest
from parley.callmanager.media_session import MediaPhase
from parley.callmanager.snapshot import decode_snapshot
from parley.model.media import (
    Address,
    OpenSession,
    UpdateSession,
)

from .moves import answer_both, asked
from .stage import OFFER
from .succession import Succession


@pytest.fixture
def mortal(make_targets: Any) -> Succession:
    """A call in conversation whose owner may die."""
    stage = Succession(make_targets(1), OFFER)
    stage.establish()
    return stage


def test_a_successor_asks_a_phone_that_has_not_answered_as_the_dead_one_did(
    mortal: Succession, make_sdp: Any
) -> None:
    stage = mortal
    stage.lose_relay("r2")
    stage.answer(asked(stage, "a")[0], 200, make_sdp("192.0.2.1", 4000))
    stage.pass_time(0.3)
    [first] = asked(stage, "b")
    body = first.request.body
    stage.take_over()
    again = [action for action in stage.log[stage.since :] if isinstance(action, SendRequest)]
    assert [(sent.branch, sent.request.body) for sent in again] == [(first.branch, body)]
    assert again[0].request.cseq.number == first.request.cseq.number
    adopted = stage.media_commands[-1]
    assert isinstance(adopted, UpdateSession)
    assert (adopted.relay, adopted.epoch, adopted.legs) == ("r2", 2, [])
    stage.answer(again[0], 200, make_sdp("192.0.2.2", 5000))
    assert not any(leg.owes_move for leg in stage.call.parts.legs())


def test_a_successor_whose_relay_is_gone_too_moves_the_call(
    mortal: Succession, make_sdp: Any
) -> None:
    stage = mortal
    stage.relays.append("r2")
    stage.sessions.clear()
    stage.take_over()
    adopt, reopened = stage.media_commands[-2:]
    assert isinstance(adopt, UpdateSession)
    assert isinstance(reopened, OpenSession)
    assert (reopened.epoch, reopened.media_timeout_s) == (2, 60.0)
    remotes = {leg.leg: leg.streams[0].remote for leg in reopened.legs}
    assert remotes == {"a": Address("192.0.2.1", 4000), "b": Address("192.0.2.2", 5000)}
    answer_both(stage, make_sdp)
    assert stage.sessions == {("r2", "call1")}


def test_a_successor_of_a_call_without_a_relay_finds_it_one(
    mortal: Succession, make_sdp: Any
) -> None:
    stage = mortal
    stage.refuse = {MediaPurpose.REOPEN}
    stage.lose_relay("r2")
    stage.pass_time(5.0)
    stage.caller_sends("UPDATE", cseq=2)  # Something that is written.
    assert decode_snapshot(stage.writes[-1]).media.phase is MediaPhase.LOST
    stage.refuse = set()
    stage.take_over()
    answer_both(stage, make_sdp)
    assert stage.sessions == {("r2", "call1")}


def test_a_successor_closes_the_old_session_of_a_move(mortal: Succession, make_sdp: Any) -> None:
    stage = mortal
    stage.drain_relay("r2")
    assert len(stage.sessions) == 2
    stage.take_over()
    answer_both(stage, make_sdp)
    stage.pass_time(0.2)
    assert stage.sessions == {("r2", "call1")}


def test_too_long_after_the_owners_death_the_phones_are_asked_anew(
    mortal: Succession, make_sdp: Any
) -> None:
    stage = mortal
    stage.lose_relay("r2")
    stage.take_over(60.0)
    for side in "ab":
        first, again = asked(stage, side)
        assert again.branch != first.branch
        assert again.request.cseq.number == first.request.cseq.number + 1
    answer_both(stage, make_sdp)
