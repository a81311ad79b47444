"""Calls between two phones of our own stack, media by a fake relay."""

import asyncio
from typing import Any

import pytest

from parley.backing.errors import BackingUnavailable
from parley.backing.state.loads import callmanager_loads
from parley.model.call import CallResult, EndedBy
from parley.model.ids import CallId
from parley.model.live_call import decode_live_call
from parley.model.media import MediaTimedOut
from parley.sip.transaction import AckReceived, CancelReceived, ResponseReceived

from .conftest import establish


async def assert_nothing_left(world: Any, manager: Any) -> None:
    async with asyncio.timeout(5):
        await manager.calls.wait_idle()
    assert world.media.sessions == set()
    assert await world.snapshot_keys() == []
    assert world.registry.value("parley_callmanager_calls_broken_total") == 0


async def test_two_phones_talk_and_hang_up(
    world: Any, manager: Any, ann: Any, bob: Any, talking: None
) -> None:
    [call_id] = await world.snapshot_keys()
    snapshot = await world.backing.state.get(f"call:{{{call_id}}}")
    live = decode_live_call(snapshot)
    assert live.state == "answered"
    assert live.progress.caller == "1001"
    ann.ask("BYE")
    assert (await bob.request()).method == "BYE"
    bob.respond(200)
    assert (await ann.response()).status == 200
    ended = await world.wait_event("call.ended")
    assert ended.data.termination.result is CallResult.ANSWERED
    assert ended.data.termination.by is EndedBy.CALLER
    assert ended.data.media[0].packets_received == 7
    assert world.seen == ["call.started", "call.ringing", "call.answered", "call.ended"]
    assert len(world.media.commands) == 3
    await assert_nothing_left(world, manager)


async def test_the_callee_sees_the_caller_s_name(world: Any, ann: Any, bob: Any) -> None:
    ann.call("1002")
    invite = await bob.request()
    assert invite.from_.display_name == "Ann"
    assert b"m=audio 30000" in invite.body
    assert invite.routes[0].uri_text == "sip:token@phone-1002;transport=local;lr"
    bob.respond(486)
    assert (await ann.response()).status == 486
    ended = await world.wait_event("call.ended")
    assert ended.data.termination.result is CallResult.BUSY


async def test_all_phones_ring_and_the_losers_get_cancel_with_reason(
    world: Any, make_sdp: Any, manager: Any, ann: Any
) -> None:
    desk, mobile = await world.phone("1002", "desk"), await world.phone("1002", "mobile")
    await world.register(desk, mobile)
    ann.call("1002")
    for phone in (desk, mobile):
        await phone.request()
        phone.respond(180)
    mobile.respond(200, make_sdp("127.0.0.1", 5000))
    cancel = (await desk.handler.next(CancelReceived)).request
    assert cancel.get("reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    desk.respond(487)
    while (await ann.response()).status != 200:
        pass
    ann.ack()
    await mobile.handler.next(AckReceived)
    mobile.ask("BYE")
    assert (await ann.request()).method == "BYE"
    ann.respond(200)
    await assert_nothing_left(world, manager)


async def test_cancel_while_ringing(world: Any, manager: Any, ann: Any, bob: Any) -> None:
    transaction = ann.call("1002")
    await bob.request()
    bob.respond(180)
    await ann.response()
    ann.node.cancel(transaction)
    await bob.handler.next(CancelReceived)
    bob.respond(487)
    assert (await ann.response()).status == 487
    await assert_nothing_left(world, manager)
    ended = await world.wait_event("call.ended")
    assert ended.data.termination.result is CallResult.CANCELLED


async def test_a_cancel_that_overtakes_the_relay_is_heard(
    world: Any, manager: Any, ann: Any, bob: Any
) -> None:
    world.media.gate = asyncio.Event()
    transaction = ann.call("1002")
    assert (await ann.handler.next(ResponseReceived)).response.status == 100
    ann.node.cancel(transaction)
    # The CANCEL is in the mailbox when its own 200 could be back.
    for _ in range(5):
        await asyncio.sleep(0)
    world.media.gate.set()
    assert (await ann.response()).status == 487
    if bob.handler.events.qsize():
        await bob.request()
        bob.respond(487)
    await assert_nothing_left(world, manager)


async def test_numbers_that_lead_nowhere(world: Any, manager: Any, ann: Any) -> None:
    for dialled, status in (("7777", 404), ("1002", 480), ("+49%20x", 404)):
        ann.call(dialled)
        assert (await ann.response()).status == status
        ended = await world.wait_event("call.ended")
        assert ended.data.termination.sip_status == status
    await assert_nothing_left(world, manager)


async def test_the_echo_answers_by_itself(world: Any, manager: Any, ann: Any) -> None:
    ann.call("999")
    response = await ann.response()
    assert response.status == 200
    assert b"m=audio 20000 RTP/AVP 0 8" in response.body
    ann.ack()
    ann.ask("BYE")
    assert (await ann.response()).status == 200
    await assert_nothing_left(world, manager)


async def test_hold_and_info_go_through(
    world: Any, make_sdp: Any, ann: Any, bob: Any, talking: None
) -> None:
    ann.ask("INVITE", make_sdp("127.0.0.1", 4000, "sendonly"))
    hold = await bob.request()
    assert b"a=sendonly" in hold.body
    bob.respond(200, make_sdp("127.0.0.1", 5000, "recvonly"))
    response = await ann.response()
    assert b"a=recvonly" in response.body
    ann.ack(cseq=2)
    await bob.handler.next(AckReceived)
    bob.ask("INFO", b"Signal=1", "application/dtmf-relay")
    assert (await ann.request()).body == b"Signal=1"
    ann.respond(200)
    assert (await bob.response()).status == 200
    await world.wait_event("call.updated")


async def test_the_answer_in_the_ack_reaches_the_phone(make_sdp: Any, ann: Any, bob: Any) -> None:
    ann.call("1002", b"")
    assert not (await bob.request()).body
    bob.respond(200, make_sdp("127.0.0.1", 5000))
    assert b"m=audio 20000" in (await ann.response()).body
    ann.ack(make_sdp("127.0.0.1", 4000))
    ack = (await bob.handler.next(AckReceived)).request
    assert b"m=audio 30000" in ack.body


async def test_media_that_falls_silent_ends_the_call(
    world: Any, manager: Any, ann: Any, bob: Any, talking: None
) -> None:
    [call_id] = await world.snapshot_keys()
    world.media.say(MediaTimedOut(CallId(call_id), "a"))
    for phone in (ann, bob):
        assert (await phone.request()).method == "BYE"
        phone.respond(200)
    ended = await world.wait_event("call.ended")
    assert ended.data.termination.reason == "media-timeout"
    await assert_nothing_left(world, manager)


async def test_a_relay_that_is_away_means_503_and_a_record(
    world: Any, manager: Any, ann: Any, bob: Any
) -> None:
    world.media.is_away = True
    ann.call("1002")
    assert (await ann.response()).status == 503
    ended = await world.wait_event("call.ended")
    assert ended.data.termination.reason == "media-unavailable"
    await assert_nothing_left(world, manager)


async def test_a_request_with_the_token_of_another_call_is_not_of_the_dialog(
    world: Any, ann: Any, bob: Any, talking: None
) -> None:
    eve = await world.phone("1001", "eve")
    eve.call("999")
    assert (await eve.response()).status == 200
    own_call, own_dialog, eve.dialog = eve.call_id, eve.dialog, ann.dialog
    for method in ("BYE", "INVITE", "INFO"):
        eve.ask(method)
        assert (await eve.response()).status == 481
    eve.call_id = ""
    eve.ask("BYE")
    assert (await eve.response()).status == 481
    eve.call_id, eve.dialog = own_call, own_dialog
    eve.ask("BYE")
    assert (await eve.response()).status == 200
    bob.ask("INFO")
    assert (await ann.request()).method == "INFO"
    ann.respond(200)
    assert (await bob.response()).status == 200


async def test_a_draining_instance_takes_no_calls_and_hangs_up_at_the_end(world: Any) -> None:
    manager = await world.start_manager(hang_up_s=2.0)
    ann, bob = await world.phone("1001"), await world.phone("1002")
    await world.register(bob)
    await establish(ann, bob)
    draining = asyncio.ensure_future(manager.drain(2.2))
    await asyncio.sleep(0)
    eve = await world.phone("1001", "eve")
    eve.call("1002")
    refused = await eve.response()
    assert refused.status == 503
    assert refused.has("retry-after")
    loads = await callmanager_loads(world.backing.state).read()
    assert loads[manager.instance].draining
    for phone in (ann, bob):
        assert (await phone.request()).method == "BYE"
        phone.respond(200)
    await draining
    await assert_nothing_left(world, manager)


async def test_a_broken_invariant_ends_that_call_only(
    world: Any, manager: Any, ann: Any, bob: Any, talking: None
) -> None:
    eve = await world.phone("1001", "eve")
    eve.call("999")
    await eve.response()
    eve.ack()
    [mailbox, _] = list(manager.calls)

    def broken(*_: object) -> None:
        raise RuntimeError("cannot be")

    mailbox.post(broken)
    for phone in (ann, bob):
        assert (await phone.request()).method == "BYE"
        phone.respond(200)
    ended = await world.wait_event("call.ended")
    assert ended.data.termination.reason == "internal-error"
    assert world.registry.value("parley_callmanager_calls_broken_total") == 1
    eve.ask("BYE")
    assert (await eve.response()).status == 200
    second = await world.wait_event("call.ended")
    assert second.data.callee == "999"


async def test_a_call_that_cannot_even_be_aborted_is_written_off(
    world: Any, manager: Any, talking: None
) -> None:
    [mailbox] = list(manager.calls)
    mailbox.call.parts.caller.dialog = None
    mailbox.post(lambda now: 1 / 0)
    ended = await world.wait_event("call.ended")
    assert ended.data.termination.reason == "internal-error"
    async with asyncio.timeout(5):
        await manager.calls.wait_idle()


async def test_a_fenced_call_is_dropped_in_silence(
    world: Any, manager: Any, ann: Any, bob: Any, talking: None
) -> None:
    [call_id] = await world.snapshot_keys()
    claimed = await world.backing.state.claim(f"call:{{{call_id}}}", "other", 1)
    assert claimed.epoch == 2
    ann.ask("BYE")
    async with asyncio.timeout(5):
        await manager.calls.wait_idle()
    assert bob.handler.events.empty()
    assert world.registry.value("parley_callmanager_calls_fenced_total") == 1
    assert world.events.qsize() <= 3


async def test_what_the_bus_did_not_take_of_a_fenced_call_is_its_new_owner_s_to_tell(
    world: Any, monkeypatch: pytest.MonkeyPatch, manager: Any, ann: Any, bob: Any
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(world.backing.bus, "publish", _refuse)
        ann.call("1002")
        await bob.request()
    [call_id] = await world.snapshot_keys()
    await world.backing.state.claim(f"call:{{{call_id}}}", "other", 1)
    bob.respond(486)
    async with asyncio.timeout(5):
        await manager.calls.wait_idle()
    await manager._events.catch_up()
    assert world.events.empty()


def _refuse(*_: object) -> None:
    raise BackingUnavailable("the bus is away")


async def test_a_caller_whose_edge_is_gone_does_not_keep_the_phone_ringing(
    world: Any, manager: Any, ann: Any, bob: Any
) -> None:
    ann.call("1002")
    await bob.request()
    await ann.node.aclose()
    bob.respond(180)
    cancel = await bob.handler.next(CancelReceived)
    assert cancel.request.method == "CANCEL"
    bob.respond(487)
    await assert_nothing_left(world, manager)


async def test_a_phone_whose_edge_is_gone_counts_as_unreachable(
    world: Any, manager: Any, ann: Any, bob: Any
) -> None:
    await bob.node.aclose()
    ann.call("1002")
    assert (await ann.response()).status == 480
    await assert_nothing_left(world, manager)
