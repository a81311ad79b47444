"""CANCELs whose INVITE another edge forwarded: who is asked, and what the phone hears."""

from typing import cast

import pytest
from tests.unit.edgeproxy.proxy_bench import PHONE, PHONE_TCP, Bench, FakeTransaction

from parley.edgeproxy.proxy.callmanagers import SUSPECT_S
from parley.edgeproxy.proxy.proxy import SILENCE_S
from parley.edgeproxy.proxy.stray_cancels import (
    MAX_ASKED,
    MAX_SEARCHES,
    PATIENCE_S,
    ROUND_PAUSE_S,
    SEARCH_BURST,
    SOURCE_BURST,
)
from parley.edgeproxy.routing.token import Token, TokenKind
from parley.sip.hop import Hop
from parley.sip.message import Request, response_to
from parley.sip.transaction import ClientTransaction, ServerTransaction
from parley.testkit.sip_messages import make_request

VIA = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKphone7"


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.start("cm1", "cm2", "cm3")
    return bench


def _cancel(host: str = PHONE.host, **headers: str) -> Request:
    request = make_request("CANCEL")
    request.prepend("via", VIA)
    request.source = Hop("udp", host, 5060)
    for name, value in headers.items():
        request.add(name.replace("_", "-"), value)
    return request


def _take(bench: Bench, request: Request | None = None) -> None:
    request = request or _cancel()
    server = cast("ServerTransaction", FakeTransaction(request, PHONE))
    bench.stray_cancels.take(server, request)


def _answer(bench: Bench, status: int, number: int = -1) -> None:
    """The call manager that was asked last says something."""
    client = bench.node.requests[number]
    response = response_to(client.request, status, to_tag="cm")
    bench.stray_cancels.on_response(cast("ClientTransaction", client), response)


def _fail(bench: Bench) -> None:
    bench.stray_cancels.on_failure(cast("ClientTransaction", bench.node.requests[-1]))


def _wait(bench: Bench, seconds: float) -> None:
    bench.clock.advance(seconds)
    bench.stray_cancels.check()


def _asked(bench: Bench) -> list[str]:
    return [one.hop.host for one in bench.node.requests]


async def test_a_call_manager_is_asked_with_the_branch_of_the_invite(bench: Bench) -> None:
    invite = make_request("INVITE")
    invite.prepend("via", VIA)
    _take(bench, _cancel(reason="SIP;cause=487"))

    (question,) = [one.request for one in bench.node.requests]
    assert question.method == "CANCEL"
    assert question.via.branch == bench.derivation.branch(invite)
    assert len(question.get_all("via")) == 1
    for name in ("call-id", "from", "to"):
        assert question.get(name) == invite.get(name)
    assert question.cseq.number == invite.cseq.number
    assert question.get("reason") == "SIP;cause=487"
    assert question.get("x-parley-source") == PHONE.host


async def test_nothing_else_of_a_strangers_cancel_gets_inside(bench: Bench) -> None:
    cancel = _cancel(
        x_parley_call="call-1", x_parley_source="10.0.0.1", route="<sip:192.0.2.66;lr>"
    )
    cancel.add("p-asserted-identity", "<sip:boss@demo.test>")
    cancel.body = b"much"
    _take(bench, cancel)

    (question,) = [one.request for one in bench.node.requests]
    assert set(question.header_names()) == {
        *("via", "max-forwards", "from", "to", "call-id", "cseq", "x-parley-source")
    }
    assert question.get_all("x-parley-source") == [PHONE.host]
    assert not question.body


async def test_call_managers_are_asked_in_turn_until_one_has_the_invite(bench: Bench) -> None:
    _take(bench)
    assert _asked(bench) == ["cm3"]  # the busiest
    _answer(bench, 481)
    assert _asked(bench) == ["cm3", "cm2"]
    assert bench.statuses == []
    _answer(bench, 200)

    assert _asked(bench) == ["cm3", "cm2"]
    assert bench.statuses == [200]
    assert len(bench.stray_cancels) == 0


async def test_a_cancel_of_what_nobody_has_is_told_so_at_once(bench: Bench) -> None:
    _take(bench)
    for _ in range(3):
        _answer(bench, 481)

    assert bench.statuses == [481]
    assert len(bench.stray_cancels) == 0
    _wait(bench, PATIENCE_S)
    assert len(bench.node.requests) == 3


async def test_a_token_tells_who_is_asked_first(bench: Bench) -> None:
    cancel = _cancel()
    bench.routes.record(
        cancel, Token(TokenKind.DIALOG, PHONE, "call-1", "cm1"), "udp", is_inward=False
    )
    cancel.add("route", cancel.values("record-route")[0])
    _take(bench, cancel)

    assert _asked(bench) == ["cm1"]


async def test_a_call_manager_that_says_nothing_is_left_for_the_next(bench: Bench) -> None:
    _take(bench)
    _wait(bench, SILENCE_S - 0.1)
    assert _asked(bench) == ["cm3"]

    _wait(bench, 0.1)
    assert _asked(bench) == ["cm3", "cm2"]
    assert bench.node.abandoned == [bench.node.requests[0]]
    assert bench.callmanagers.is_suspect("cm3", bench.clock.now())
    _answer(bench, 200, number=0)  # too late, and nobody's business any more
    assert bench.statuses == []
    _answer(bench, 200)
    assert bench.statuses == [200]


async def test_when_one_was_not_reached_all_are_asked_again_a_moment_later(bench: Bench) -> None:
    _take(bench)
    _fail(bench)
    _answer(bench, 481)
    _answer(bench, 481)
    assert bench.statuses == []

    _wait(bench, ROUND_PAUSE_S)
    assert _asked(bench) == ["cm3", "cm2", "cm1", "cm2"]
    _answer(bench, 200)
    assert bench.statuses == [200]


@pytest.mark.parametrize(("status", "statuses"), [(400, [481]), (500, []), (503, [])])
async def test_a_failure_of_a_call_manager_is_no_answer(
    bench: Bench, status: int, statuses: list[int]
) -> None:
    _take(bench)
    _answer(bench, status)
    _answer(bench, 481)
    _answer(bench, 481)

    assert bench.statuses == statuses


async def test_who_was_not_reached_is_asked_last(bench: Bench) -> None:
    bench.callmanagers.mark_unreachable("cm3", bench.clock.now())
    _take(bench)
    _answer(bench, 481)
    _answer(bench, 481)
    assert _asked(bench) == ["cm2", "cm1", "cm3"]
    assert ROUND_PAUSE_S < SUSPECT_S


async def test_a_search_comes_to_an_end(bench: Bench) -> None:
    began = bench.clock.now()
    _take(bench)
    while not bench.statuses:
        _wait(bench, 0.1)

    assert bench.statuses == [481]
    assert bench.clock.now() - began <= PATIENCE_S + 3 * SILENCE_S
    assert len(bench.stray_cancels) == 0


async def test_without_any_call_manager_the_phone_hears_it_in_the_end(bench: Bench) -> None:
    await bench.state.delete("load:{callmanager}")
    await bench.callmanagers.refresh(bench.clock.now(), bench.clock.wall_s())
    _take(bench)
    assert bench.statuses == []

    for _ in range(int(PATIENCE_S)):
        _wait(bench, ROUND_PAUSE_S)
    assert bench.statuses == [481]


async def test_only_so_many_call_managers_are_asked(bench: Bench) -> None:
    await bench.start(*(f"cm{number}" for number in range(MAX_ASKED + 5)))
    _take(bench)
    while not bench.statuses:
        _answer(bench, 481)

    assert len(bench.node.requests) == MAX_ASKED


async def test_a_branch_that_is_in_use_ends_the_search(bench: Bench) -> None:
    bench.node.branches_in_use.add(bench.derivation.branch(_cancel()))
    _take(bench)

    assert bench.statuses == [481]
    assert len(bench.stray_cancels) == 0


async def test_one_source_may_begin_few_searches(bench: Bench) -> None:
    for _ in range(int(SOURCE_BURST) + 1):
        _take(bench)
    assert bench.statuses == [481]

    _take(bench, _cancel("192.0.2.2"))
    assert bench.statuses == [481]
    assert len(bench.node.requests) == SOURCE_BURST + 1


async def test_forged_datagrams_take_no_search_from_who_is_heard_there(bench: Bench) -> None:
    for _ in range(int(SOURCE_BURST) + 1):
        _take(bench)
    assert bench.statuses == [481]

    by_tcp, with_token = _cancel(), _cancel()
    by_tcp.source = PHONE_TCP
    bench.routes.record(
        with_token, Token(TokenKind.DIALOG, PHONE, "call-1", "cm1"), "udp", is_inward=False
    )
    with_token.add("route", with_token.values("record-route")[0])
    for heard in (by_tcp, with_token):
        _take(bench, heard)
    assert bench.statuses == [481]
    assert len(bench.node.requests) == SOURCE_BURST + 2


def _host(number: int) -> str:
    return f"10.0.{number // 256}.{number % 256}"


async def test_few_searches_run_at_once_and_half_of_them_for_known_sources(bench: Bench) -> None:
    for number in range(MAX_SEARCHES // 2 + 1):
        _take(bench, _cancel(_host(number)))
    assert bench.statuses == [481]
    assert len(bench.stray_cancels) == MAX_SEARCHES // 2

    bench.known.update(_host(number) for number in range(MAX_SEARCHES // 2 + 1))
    for number in range(MAX_SEARCHES // 2 + 1):
        _take(bench, _cancel(_host(number)))
    assert bench.statuses == [481, 481]
    assert len(bench.stray_cancels) == MAX_SEARCHES


async def test_all_sources_together_begin_few_searches_half_of_them_the_known(
    bench: Bench,
) -> None:
    half = int(SEARCH_BURST) // 2
    bench.known.update(_host(number) for number in range(half, 2 * half + 1))
    for number in range(half):
        _take(bench, _cancel(_host(number)))
        _answer(bench, 200)
    _take(bench, _cancel(_host(0)))
    assert bench.statuses == [200] * half + [481]

    for number in range(half, 2 * half):
        _take(bench, _cancel(_host(number)))
        _answer(bench, 200)
    _take(bench, _cancel(_host(2 * half)))
    assert bench.statuses[half + 1 :] == [200] * half + [481]


async def test_the_known_have_all_searches_while_no_stranger_wants_one(bench: Bench) -> None:
    bench.known.update(_host(number) for number in range(int(SEARCH_BURST)))
    for number in range(int(SEARCH_BURST)):
        _take(bench, _cancel(_host(number)))
        _answer(bench, 200)
    assert bench.statuses == [200] * int(SEARCH_BURST)
