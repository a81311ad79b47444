"""Collections by pages: all of it, each thing once, whatever the size."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.integration.restgateway.conftest import Api

from parley.backing.state.bindings import Bindings
from parley.backing.state.live_calls import LiveCalls, OwnedCall
from parley.model.events import CallProgress
from parley.model.ids import CallId, InstanceId, TenantId
from parley.model.live_call import LiveCall
from parley.model.registration import Binding
from parley.restgateway.cursors import CdrPlace, RegistrationPlace, encode_cursor

_MANY = 10_001
_FAR_S = 4e9


async def _all(api: Api, place: str, limit: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    params: dict[str, str | int] = {"limit": limit}
    while True:
        reply = await api.client.get(place, params=params, headers=api.acme)
        assert reply.status_code == 200
        page = reply.json()
        assert len(page["items"]) <= limit
        items += page["items"]
        if page["next"] is None:
            return items
        params["after"] = page["next"]


async def _add_call(api: Api, number: int, tenant: str = "acme") -> None:
    call_id = f"c{number:05}"
    progress = CallProgress(
        call_id=CallId(call_id),
        caller="101",
        dialled="102",
        started_at=datetime.fromtimestamp(number // 100, UTC),
        owner=InstanceId("callmanager-1"),
    )
    call = LiveCall(state="ringing", progress=progress, tenant_id=TenantId(tenant))
    # A hundred calls begin in the same instant.
    owned = OwnedCall(progress.call_id, call.tenant_id, number // 100, 1)
    snapshot = msgspec.msgpack.encode(call)
    await LiveCalls(api.backing.state).create(owned, progress.owner, snapshot, 600.0)


async def _add_contacts(
    api: Api, aor: str, count: int, due_s: float = _FAR_S, tenant: str = "acme"
) -> None:
    bindings = [
        Binding(
            aor=f"sip:{aor}",
            contact=f"sip:{aor}@192.0.2.{host}",
            path=["<sip:token@edge;lr>"],
            expires_at=due_s,
            call_id="c",
            cseq=1,
            edge=InstanceId("edge-1"),
            source="192.0.2.1",
        )
        for host in range(count)
    ]
    stored = Bindings(api.backing.state)
    await stored.replace(aor, bindings, 0, wall_s=0.0)
    await stored.list_aor(TenantId(tenant), aor, bindings)


async def test_more_calls_than_one_read_can_bring_are_listed(api: Api) -> None:
    for number in range(_MANY):
        await _add_call(api, number)

    calls = await _all(api, "/v1/tenants/acme/calls", 1000)

    assert [call["call_id"] for call in calls] == [f"c{number:05}" for number in range(_MANY)]


async def test_one_call_is_shown_to_its_tenant_alone(api: Api) -> None:
    await _add_call(api, 1, "other")
    foreign = await api.client.get("/v1/tenants/acme/calls/c00001", headers=api.acme)
    own = await api.client.get("/v1/tenants/other/calls/c00001", headers=api.other)

    assert foreign.status_code == 404
    assert own.json()["caller"] == "101"


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
async def test_every_contact_is_listed_once_at_any_page_size(api: Api, limit: int) -> None:
    await _add_contacts(api, "gone@acme.example", 1, due_s=1.0)
    for number in range(5):
        await _add_contacts(api, f"{number}@acme.example", 1 + number % 3)

    contacts = [
        entry["contact"] for entry in await _all(api, "/v1/tenants/acme/registrations", limit)
    ]

    assert len(contacts) == len(set(contacts)) == 1 + 2 + 3 + 1 + 2


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_phones_at_two_places_with_one_contact_are_two(api: Api, limit: int) -> None:
    await _add_contacts(api, "101@acme.example", 1)
    stored = Bindings(api.backing.state)
    found = await stored.find("101@acme.example")
    [one], version = found.bindings, found.version
    elsewhere = msgspec.structs.replace(one, source="192.0.2.2")
    assert await stored.replace("101@acme.example", [one, elsewhere], version, wall_s=0.0)

    shown = await _all(api, "/v1/tenants/acme/registrations", limit)

    assert sorted(entry["source"] for entry in shown) == ["192.0.2.1", "192.0.2.2"]


async def test_more_registrations_than_one_read_can_bring_are_listed(api: Api) -> None:
    for number in range(_MANY):
        await _add_contacts(api, f"{number}@acme.example", 1)

    assert len(await _all(api, "/v1/tenants/acme/registrations", 1000)) == _MANY


async def test_a_cursor_shows_no_registration_of_another_tenant(api: Api) -> None:
    await _add_contacts(api, "101@acme.example", 2)
    await _add_contacts(api, "201@other.example", 2, tenant="other")
    aors = ("201@other.example", "201@other.example@acme.example", "101@acme.example")
    replies = [
        await api.client.get(
            "/v1/tenants/acme/registrations",
            params={"after": encode_cursor(RegistrationPlace(0, aor, "!"))},
            headers=api.acme,
        )
        for aor in aors
    ]

    assert [reply.status_code for reply in replies] == [422, 200, 200]
    shown = [item["contact"] for reply in replies[1:] for item in reply.json()["items"]]
    assert shown and all("201" not in contact for contact in shown)


async def test_a_cursor_that_is_not_ours_is_refused(api: Api) -> None:
    collections = ("", *(f"/acme/{name}" for name in ("extensions", "registrations", "calls")))
    for collection in (*collections, "/acme/cdrs"):
        for after in ("!!", "101", "", "WyJ4IiwxXQ", "\xe9"):
            reply = await api.client.get(
                f"/v1/tenants{collection}", params={"after": after}, headers=api.acme
            )
            assert reply.status_code == 422
            assert reply.json()["errors"][0]["field"] == "query.after"


@pytest.mark.parametrize(
    "place",
    [
        CdrPlace(datetime(2026, 1, 1), 1),  # noqa: DTZ001 - it is refused for having no zone
        CdrPlace(datetime(2026, 1, 1, tzinfo=UTC), -1),
        CdrPlace(datetime(2026, 1, 1, tzinfo=UTC), 1 << 63),
    ],
    ids=["no zone", "negative row", "no row"],
)
async def test_a_cursor_of_a_call_that_cannot_be_is_refused(api: Api, place: CdrPlace) -> None:
    reply = await api.client.get(
        "/v1/tenants/acme/cdrs", params={"after": encode_cursor(place)}, headers=api.acme
    )
    assert reply.status_code == 422


async def test_a_full_last_page_has_no_next(api: Api) -> None:
    for number in ("101", "102"):
        body = {"number": number}
        await api.client.post("/v1/tenants/acme/extensions", json=body, headers=api.acme)

    page = await api.client.get("/v1/tenants/acme/extensions?limit=2", headers=api.acme)

    assert page.json()["next"] is None
