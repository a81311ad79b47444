"""Which registrations are one phone's, and which cannot be used any more, through sockets."""

from typing import TYPE_CHECKING

from parley.edgeproxy.app import EdgeProxy
from parley.model.events import RegistrationAdded, RegistrationRefreshed, RegistrationRemoved

if TYPE_CHECKING:
    from tests.integration.edgeproxy.conftest import Phone, World

INSTANCE = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-aabbccddeeff>"'


async def test_a_binding_goes_with_its_connection(world: "World") -> None:
    phone = await world.phone(await world.edge(), transport="tcp")
    await phone.register()
    added = await world.next_event()

    await phone.node.aclose()

    removed = await world.next_event()
    assert isinstance(added, RegistrationAdded) and isinstance(removed, RegistrationRemoved)
    assert removed.data.contact == added.data.contact
    assert await world.bindings("1001") == []


async def test_a_phone_that_comes_back_at_once_is_never_told_gone(
    world: "World", edge: EdgeProxy
) -> None:
    for kind in (RegistrationAdded, RegistrationRefreshed, RegistrationRefreshed):
        phone = await world.phone(edge, transport="tcp")
        request = phone.request("REGISTER")
        request.set("contact", f"<{phone.contact}>;{INSTANCE}")
        assert (await phone.authenticated(request)).status == 200
        assert isinstance(await world.next_event(), kind)
        await phone.node.aclose()

    assert isinstance(await world.next_event(), RegistrationRemoved)
    assert await world.bindings("1001") == []


async def test_a_phone_that_connects_anew_is_always_taken(world: "World", edge: EdgeProxy) -> None:
    other = await world.phone(edge)
    assert (await other.register()).status == 200
    for _ in range(12):
        phone = await world.phone(edge, transport="tcp")
        response = await phone.register()
        assert response.status == 200
        await phone.node.aclose()

    assert other.contact in {one.uri_text for one in response.contacts}


async def test_connections_of_an_edge_that_is_gone_give_way(world: "World") -> None:
    first, second = await world.edge("edge-1"), await world.edge("edge-2")
    for _ in range(10):
        phone = await world.phone(first, transport="tcp")
        assert (await phone.register()).status == 200
    late = await world.phone(second)
    assert (await late.register()).status == 403

    await first.aclose()

    assert (await late.register()).status == 200


async def test_an_instance_that_comes_back_with_another_port_replaces_itself(
    world: "World", phone: "Phone"
) -> None:
    for port in range(6100, 6112):
        request = phone.request("REGISTER")
        request.set("contact", f"<sip:p@192.0.2.9:{port}>;{INSTANCE}")
        assert (await phone.authenticated(request)).status == 200

    assert [one.contact for one in await world.bindings("1001")] == ["sip:p@192.0.2.9:6111"]


async def test_two_places_with_one_private_contact_are_both_bound(
    world: "World", edge: EdgeProxy
) -> None:
    for host in ("127.0.0.1", "127.0.0.2"):
        phone = await world.phone(edge, host=host)
        phone.call_id = f"from-{host}"
        request = phone.request("REGISTER")
        request.set("contact", "<sip:1001@10.0.0.5:5060>")
        assert (await phone.authenticated(request)).status == 200

    bindings = await world.bindings("1001")
    assert {one.source for one in bindings} == {"127.0.0.1", "127.0.0.2"}
    assert len({one.path[0] for one in bindings}) == 2
