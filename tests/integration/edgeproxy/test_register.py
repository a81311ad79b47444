"""REGISTER through sockets: digest, bindings, events, refusals."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import pytest

from parley.edgeproxy.app import EdgeProxy
from parley.model.events import RegistrationAdded, RegistrationRefreshed, RegistrationRemoved
from parley.service.tasks import TaskOwner
from parley.sip.digest import parse_challenge
from parley.sip.transaction import RequestReceived

if TYPE_CHECKING:
    from tests.integration.edgeproxy.conftest import Phone, World

DIALLED = "sip:1002@demo.test"


async def test_phone_registers_after_a_challenge(
    world: "World", edge: EdgeProxy, phone: "Phone"
) -> None:
    response = await phone.register()

    assert response.status == 200
    assert response.contacts[0].uri_text == phone.contact
    assert response.contacts[0].params["expires"] == "3600"
    (binding,) = await world.bindings("1001")
    assert binding.aor == "sip:1001@demo.test"
    assert binding.edge == edge.instance
    assert binding.source == "127.0.0.1"
    assert binding.path[0].endswith("@edge;transport=local;lr>")
    event = await world.next_event()
    assert isinstance(event, RegistrationAdded)
    assert (event.subject, event.tenantid) == ("sip:1001@demo.test", world.tenant)


async def test_phone_registers_over_tcp(world: "World") -> None:
    phone = await world.phone(await world.edge(), transport="tcp")

    assert (await phone.register()).status == 200


async def test_refresh_and_unregister_are_told(world: "World", phone: "Phone") -> None:
    await phone.register()
    assert isinstance(await world.next_event(), RegistrationAdded)

    await phone.register()
    assert isinstance(await world.next_event(), RegistrationRefreshed)
    response = await phone.register(expires="0")

    assert response.status == 200
    assert not response.has("contact")
    assert isinstance(await world.next_event(), RegistrationRemoved)
    assert await world.bindings("1001") == []


async def test_two_phones_of_one_extension_are_both_bound(world: "World", edge: EdgeProxy) -> None:
    first, second = await world.phone(edge), await world.phone(edge)
    await first.register()

    response = await second.register()

    assert {one.uri_text for one in response.contacts} == {first.contact, second.contact}


async def test_unknown_domain_is_not_found(phone: "Phone") -> None:
    request = phone.request("REGISTER", "sip:nobody.test", "<sip:1001@nobody.test>")

    assert (await phone.exchange(request)).status == 404


async def test_foreign_aor_is_forbidden(phone: "Phone") -> None:
    request = phone.request("REGISTER", to="<sip:1002@demo.test>")

    assert (await phone.authenticated(request)).status == 403


async def test_further_domain_of_the_tenant_has_the_same_aor(
    world: "World", phone: "Phone"
) -> None:
    await world.directory.load("demo.alias.test")
    request = phone.request("REGISTER", "sip:demo.alias.test", "<sip:1001@demo.alias.test>")

    assert (await phone.authenticated(request)).status == 200
    assert len(await world.bindings("1001")) == 1


async def test_phone_without_domain_is_found_by_its_user_name(
    world: "World", phone: "Phone"
) -> None:
    address = f"127.0.0.1:{phone.edge_hop.port}"
    request = phone.request("REGISTER", f"sip:{address}", f"<sip:1001@{address}>")
    request.set("from", f"<sip:1001@{address}>;tag=1")

    response = await phone.authenticated(request)

    assert response.status == 200
    assert len(await world.bindings("1001")) == 1


async def test_stranger_without_domain_cannot_answer_its_challenge(world: "World") -> None:
    phone = await world.phone(await world.edge(), "4711")
    address = f"127.0.0.1:{phone.edge_hop.port}"
    request = phone.request("REGISTER", f"sip:{address}", f"<sip:4711@{address}>")

    assert (await phone.authenticated(request)).status == 401


async def test_register_needs_no_task_when_everything_is_at_hand(
    monkeypatch: pytest.MonkeyPatch, phone: "Phone"
) -> None:
    started: list[str] = []

    def spy(_owner: TaskOwner, coro: Coroutine[Any, Any, None], *, name: str) -> None:
        started.append(name)
        coro.close()

    monkeypatch.setattr(TaskOwner, "spawn", spy)

    assert (await phone.register()).status == 200

    assert "sip request" not in started


async def test_cold_tenant_is_read_and_then_registers(world: "World", phone: "Phone") -> None:
    world.directory._cache.drop(world.tenant)

    assert (await phone.register()).status == 200


async def test_short_expiry_is_refused_with_the_shortest_taken(phone: "Phone") -> None:
    response = await phone.register(expires="5")

    assert (response.status, response.get("min-expires")) == (423, "60")


async def test_required_extension_unknown_here_is_refused(phone: "Phone") -> None:
    request = phone.request("REGISTER")
    request.add("require", "gin")

    response = await phone.exchange(request)

    assert (response.status, response.get("unsupported")) == (420, "gin")


async def test_flood_is_not_answered(world: "World") -> None:
    edge = await world.edge(source_rate=1.0, source_burst=2.0, unlimited_sources="")
    phone = await world.phone(edge)
    for _ in range(2):
        assert (await phone.exchange(phone.request("REGISTER"))).status == 401

    response = await phone.exchange(phone.request("INVITE", "sip:1002@demo.test"))

    assert response.status == 503
    assert world.registry.value("parley_edgeproxy_refused_total", {"cause": "rate"}) == 1


async def test_a_flood_from_a_forged_address_does_not_silence_who_is_heard_there(
    world: "World",
) -> None:
    edge = await world.edge(source_rate=0.001, source_burst=4.0, unlimited_sources="")
    manager = await world.call_manager()
    phone, forger = await world.phone(edge), await world.phone(edge)
    invite, _, ok = await phone.answered(manager)
    challenge = await phone.exchange(phone.request("REGISTER"))
    while (await forger.exchange(forger.request("INVITE", DIALLED))).status != 503:
        pass

    registered = await phone.exchange(phone.authorized(phone.request("REGISTER"), challenge))
    assert registered.status == 200
    phone.send(phone.in_dialog("BYE", invite, ok))
    assert (await manager.handler.next(RequestReceived)).request.method == "BYE"
    by_tcp = await world.phone(edge, transport="tcp")
    assert (await by_tcp.exchange(by_tcp.request("REGISTER"))).status == 401
    assert (await forger.exchange(forger.request("INVITE", DIALLED))).status == 503


async def test_an_old_nonce_shows_that_its_source_hears_us_as_well(world: "World") -> None:
    edge = await world.edge(
        nonce_life_s=0.001, source_rate=0.001, source_burst=4.0, unlimited_sources=""
    )
    phone, forger = await world.phone(edge), await world.phone(edge)
    challenge = await phone.exchange(phone.request("REGISTER"))
    while (await forger.exchange(forger.request("INVITE", DIALLED))).status != 503:
        pass
    await world.outlive(0.001)

    answer = await phone.exchange(phone.authorized(phone.request("REGISTER"), challenge))

    assert answer.status == 401
    assert parse_challenge(answer.get("www-authenticate") or "").is_stale


async def test_flood_makes_no_transactions(world: "World") -> None:
    edge = await world.edge(source_rate=0.001, source_burst=1.0, unlimited_sources="")
    phone = await world.phone(edge)
    assert (await phone.exchange(phone.request("REGISTER"))).status == 401
    before = edge.node.layer.server_count

    response = await phone.exchange(phone.request("INVITE", "sip:1002@demo.test"))
    assert response.status == 503
    assert response.has("retry-after")
    assert edge.node.layer.server_count == before


async def test_an_avalanche_of_registrations_is_told_to_come_again(world: "World") -> None:
    edge = await world.edge(register_rate=0.001, register_burst=1.0)
    phone = await world.phone(edge)
    assert (await phone.register()).status == 200

    response = await phone.register()
    assert response.status == 503
    assert 3 <= int(response.get("retry-after") or 0) <= 20


async def test_a_register_for_another_registrar_is_refused(world: "World", phone: "Phone") -> None:
    request = phone.request("REGISTER", "sip:other.test", "<sip:1001@demo.test>")

    assert (await phone.authenticated(request)).status == 403
    assert await world.bindings("1001") == []


async def test_an_extension_required_of_proxies_is_refused(phone: "Phone") -> None:
    request = phone.request("REGISTER")
    request.add("proxy-require", "foo")

    response = await phone.exchange(request)

    assert (response.status, response.get("unsupported")) == (420, "foo")


@pytest.mark.parametrize("header", ["uri", "to", "contact"])
async def test_a_register_by_sips_needs_tls(world: "World", header: str, phone: "Phone") -> None:
    request = phone.request("REGISTER", "sips:demo.test" if header == "uri" else "sip:demo.test")
    if header != "uri":
        request.set(header, "<sips:1001@demo.test>")

    assert (await phone.authenticated(request)).status == 403
    assert await world.bindings("1001") == []
