"""Digest through sockets: what proves a phone, what counts against it, what was overheard."""

import re
from typing import TYPE_CHECKING

import pytest
import structlog

from parley.edgeproxy.app import EdgeProxy
from parley.edgeproxy.identity.authentication import Answer
from parley.sip.digest import parse_challenge
from parley.sip.hop import Hop
from parley.sip.message import Request, Response, response_to
from parley.sip.transaction import RequestReceived

if TYPE_CHECKING:
    from tests.integration.edgeproxy.conftest import CallManager, Phone, World


def _is_stale(response: Response) -> bool:
    name = "www-authenticate" if response.status == 401 else "proxy-authenticate"
    return parse_challenge(response.get(name) or "").is_stale


def _with(request: Request, parameter: str, value: str) -> Request:
    """Changes one parameter of a request's credentials."""
    changed = request.copy()
    name = "authorization" if changed.has("authorization") else "proxy-authorization"
    text = re.sub(f'{parameter}="[^"]*"', f'{parameter}="{value}"', request.get(name) or "")
    changed.set(name, text)
    return changed


async def _captured(phone: "Phone", request: Request) -> Request:
    """Makes a request with credentials that are right at the phone's edge."""
    return phone.authorized(request, await phone.exchange(request))


async def _blast(phone: "Phone", count: int) -> None:
    """Sends REGISTERs of made-up users with a nonce that was given to nobody."""
    for number in range(count):
        made_up = await _captured(phone, phone.request("REGISTER"))
        forged = _with(_with(made_up, "nonce", "made-up"), "username", f"x{number}")
        answer = await phone.exchange(forged)
        assert (answer.status, _is_stale(answer)) == (401, True)


async def test_wrong_password_and_unknown_user_look_the_same(
    world: "World", edge: EdgeProxy
) -> None:
    known, unknown = await world.phone(edge, "1001"), await world.phone(edge, "4711")

    answers = [
        await phone.authenticated(phone.request("REGISTER"), "wrong") for phone in (known, unknown)
    ]

    assert [answer.status for answer in answers] == [401, 401]
    shapes = [sorted(answer.header_names()) for answer in answers]
    assert shapes[0] == shapes[1]
    assert await world.bindings("1001") == []


async def test_source_that_fails_too_often_is_banned(world: "World") -> None:
    phone = await world.phone(await world.edge(auth_failures=3))
    with structlog.testing.capture_logs() as log:
        for _ in range(3):
            await phone.authenticated(phone.request("REGISTER"), "wrong")
        response = await phone.exchange(phone.request("REGISTER"))

    assert response.status == 403
    [told] = [entry for entry in log if entry["event"].startswith("banned")]
    assert (told["who"], told["for_s"]) == ("127.0.0.1", 120.0)


async def test_phone_with_a_wrong_password_is_banned_without_its_neighbours(
    world: "World",
) -> None:
    edge = await world.edge(auth_user_failures=2)
    broken, neighbour = await world.phone(edge, "1001"), await world.phone(edge, "1002")

    with structlog.testing.capture_logs() as log:
        answers = [
            await broken.authenticated(broken.request("REGISTER"), "wrong") for _ in range(3)
        ]

    [told] = [entry["who"] for entry in log if entry["event"].startswith("banned")]
    assert told.startswith("127.0.0.1 1001@")
    assert [answer.status for answer in answers] == [401, 401, 403]
    assert (await neighbour.register()).status == 200


async def test_failures_with_a_nonce_that_was_not_given_to_the_source_ban_nobody(
    world: "World",
) -> None:
    edge = await world.edge(auth_failures=3, auth_user_failures=2)
    forger, office = await world.phone(edge), await world.phone(edge)

    await _blast(forger, 4)
    for _ in range(4):
        forged = _with(await _captured(forger, forger.request("REGISTER")), "nonce", "made-up")
        await forger.exchange(forged)

    assert (await office.register()).status == 200


@pytest.mark.parametrize("password", ["correct-horse", "wrong"])
async def test_a_password_cannot_be_tried_with_a_made_up_nonce(
    password: str, phone: "Phone"
) -> None:
    challenge = await phone.exchange(phone.request("REGISTER"))
    made_up = Response(401, "Unauthorized")
    made_up.add("www-authenticate", 'Digest realm="demo.test", nonce="made-up", qop="auth"')
    assert challenge.status == 401

    answer = await phone.exchange(phone.authorized(phone.request("REGISTER"), made_up, password))

    assert (answer.status, _is_stale(answer)) == (401, True)


async def test_made_up_credentials_take_no_place_among_registrations(world: "World") -> None:
    edge = await world.edge(register_rate=0.001, register_burst=1.0)
    forger, phone = await world.phone(edge), await world.phone(edge)

    await _blast(forger, 3)

    assert (await phone.register()).status == 200


async def test_replayed_nonce_count_brings_a_stale_challenge(phone: "Phone") -> None:
    challenge = await phone.exchange(phone.request("REGISTER"))
    first = await phone.exchange(phone.authorized(phone.request("REGISTER"), challenge))

    again = await phone.exchange(phone.authorized(phone.request("REGISTER"), challenge))
    next_count = await phone.exchange(
        phone.authorized(phone.request("REGISTER"), challenge, count=2)
    )

    assert (first.status, again.status, next_count.status) == (200, 401, 200)
    assert parse_challenge(again.get("www-authenticate") or "").is_stale


async def test_expired_nonce_brings_a_stale_challenge(world: "World") -> None:
    phone = await world.phone(await world.edge(nonce_life_s=0.001))
    late = await _captured(phone, phone.request("REGISTER"))
    await world.outlive(0.001)

    answer = await phone.exchange(late)

    assert (answer.status, _is_stale(answer)) == (401, True)


async def test_credentials_that_one_edge_took_bind_nothing_at_another(world: "World") -> None:
    first, second = await world.edge("edge-1"), await world.edge("edge-2")
    phone, thief = await world.phone(first), await world.phone(second)
    request = await _captured(phone, phone.request("REGISTER"))
    assert (await phone.exchange(request)).status == 200
    stolen = request.copy()
    stolen.remove("via")
    stolen.set("contact", f"<{thief.contact}>")

    answer = await thief.exchange(stolen)

    assert (answer.status, _is_stale(answer)) == (401, True)
    assert [one.contact for one in await world.bindings("1001")] == [phone.contact]


async def test_credentials_bind_nothing_after_a_restart_of_their_edge(world: "World") -> None:
    first = await world.edge("edge-1")
    phone = await world.phone(first)
    request = await _captured(phone, phone.request("REGISTER"))
    assert (await phone.exchange(request)).status == 200
    await first.aclose()
    phone.edge = await world.edge("edge-1")
    again = request.copy()
    again.remove("via")

    answer = await phone.exchange(again)

    assert (answer.status, _is_stale(answer)) == (401, True)
    assert (await phone.exchange(phone.authorized(request, answer))).status == 200


@pytest.mark.parametrize("status", [481, 482], ids=["no such call", "a call of another flow"])
async def test_a_call_by_another_edges_nonce_is_taken_only_where_it_is_known(
    world: "World", manager: "CallManager", status: int
) -> None:
    first, second = await world.edge("edge-1"), await world.edge("edge-2")
    phone = await world.phone(first)
    invite = await _captured(phone, phone.request("INVITE", "sip:1002@demo.test"))
    phone.edge = second
    phone.send(invite)
    received = await manager.handler.next(RequestReceived)
    assert received.request.get("x-parley-repeated") == "1"

    manager.answer(received.transaction, status)

    answer = await phone.response()
    assert (answer.status, _is_stale(answer)) == (407, True)
    phone.send(phone.authorized(invite, answer))
    received = await manager.handler.next(RequestReceived)
    assert not received.request.has("x-parley-repeated")


async def test_credentials_for_one_number_call_no_other(phone: "Phone") -> None:
    request = await _captured(phone, phone.request("INVITE", "sip:999@demo.test"))
    request.uri = phone.request("INVITE", "sip:7654321@demo.test").uri

    assert (await phone.exchange(request)).status == 400


async def test_a_phone_may_name_the_edge_where_its_domain_stands(phone: "Phone") -> None:
    challenge = await phone.exchange(phone.request("REGISTER"))
    address = f"sip:127.0.0.1:{phone.edge_hop.port}"
    by_address = phone.authorized(phone.request("REGISTER", address), challenge)
    by_address.uri = phone.request("REGISTER").uri

    assert (await phone.exchange(by_address)).status == 200


async def test_an_algorithm_that_was_not_offered_proves_nothing(world: "World") -> None:
    phone = await world.phone(await world.edge(digest_algorithms="SHA-256"))
    challenge = await phone.exchange(phone.request("REGISTER"))
    text = (challenge.get("www-authenticate") or "").replace("SHA-256", "MD5")
    challenge.set("www-authenticate", text)

    answer = await phone.exchange(phone.authorized(phone.request("REGISTER"), challenge))

    assert (answer.status, _is_stale(answer)) == (401, False)


async def test_a_ban_holds_for_a_network_of_ipv6(world: "World") -> None:
    edge = await world.edge(auth_failures=3)
    phone = await world.phone(edge, "1001")
    authenticator = edge._handler._outside._authenticator

    async def status(host: str) -> int:
        request = phone.request("REGISTER")
        request.source = Hop("udp", host, 5060)
        for _ in range(2):
            answer = await authenticator.authenticate(request, request.from_.uri, is_registrar=True)
            assert isinstance(answer, Answer)
            if answer.status == 403:
                return 403
            challenged = response_to(request, answer.status, headers=answer.headers)
            request = phone.authorized(request, challenged, "wrong")
            request.source = Hop("udp", host, 5060)
        return 401

    assert [await status(f"2001:db8::{number}") for number in range(4)] == [401, 401, 401, 403]
    assert await status("2001:db8:0:1::1") == 401
