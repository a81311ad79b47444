from datetime import UTC, datetime, timedelta

import msgspec
from tests.integration.restgateway.conftest import Api

from parley.backing.db.cdrs import CdrRepository
from parley.backing.state.bindings import Bindings
from parley.backing.state.live_calls import LiveCalls, OwnedCall
from parley.model.call import CallRecord, CallResult, EndedBy, Termination
from parley.model.events import CallProgress
from parley.model.ids import CallId, InstanceId, TenantId
from parley.model.live_call import LiveCall
from parley.model.registration import Binding

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


async def test_a_request_without_a_token_is_challenged(api: Api) -> None:
    reply = await api.client.get("/v1/tenants")

    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.json()["type"] == "urn:parley:error:unauthenticated"


async def test_an_unknown_token_is_refused(api: Api) -> None:
    reply = await api.client.get("/v1/tenants", headers={"Authorization": "Bearer " + "x" * 40})

    assert reply.status_code == 401


async def test_the_platform_creates_changes_and_removes_a_tenant(api: Api) -> None:
    body = {"name": "New", "domain": "New.Example"}
    created = await api.client.post("/v1/tenants", json=body, headers=api.platform)
    place = created.headers["Location"]
    changed = await api.client.patch(place, json={"name": "Newer"}, headers=api.platform)
    removed = await api.client.delete(place, headers=api.platform)
    gone = await api.client.get(place, headers=api.platform)

    assert created.status_code == 201
    assert created.json()["domain"] == "new.example"
    assert changed.json()["name"] == "Newer"
    assert removed.status_code == 204
    assert "Content-Type" not in removed.headers
    assert gone.status_code == 404


async def test_a_tenant_sees_itself_alone(api: Api) -> None:
    listed = await api.client.get("/v1/tenants", headers=api.acme)
    own = await api.client.get("/v1/tenants/acme", headers=api.acme)
    others = await api.client.get("/v1/tenants/other", headers=api.acme)
    absent = await api.client.get("/v1/tenants/absent", headers=api.acme)

    assert [tenant["id"] for tenant in listed.json()["items"]] == ["acme"]
    assert own.status_code == 200
    assert others.status_code == absent.status_code == 404
    assert others.json()["type"] == absent.json()["type"]


async def test_a_tenant_may_not_create_tenants(api: Api) -> None:
    body = {"name": "New", "domain": "new.example"}
    reply = await api.client.post("/v1/tenants", json=body, headers=api.acme)

    assert reply.status_code == 403


async def test_a_tenant_may_not_change_what_is_the_platforms(api: Api) -> None:
    body = {"further_domains": ["acme.test"]}
    await api.client.patch("/v1/tenants/acme", json=body, headers=api.platform)
    changes: list[dict[str, object]] = [
        {"further_domains": []},
        {"further_domains": ["x.test"]},
        {"enabled": True},
    ]
    for change in changes:
        reply = await api.client.patch("/v1/tenants/acme", json=change, headers=api.acme)
        assert reply.json()["type"] == "urn:parley:error:platform-only"
    kept = await api.client.get("/v1/tenants/acme", headers=api.acme)

    assert kept.json()["further_domains"] == ["acme.test"]


async def test_a_taken_domain_is_a_conflict(api: Api) -> None:
    body = {"name": "New", "domain": "acme.example"}
    reply = await api.client.post("/v1/tenants", json=body, headers=api.platform)

    assert reply.status_code == 409
    assert reply.json()["type"] == "urn:parley:error:domain-taken"


async def test_extensions_are_created_listed_by_pages_changed_and_removed(api: Api) -> None:
    place = "/v1/tenants/acme/extensions"
    for number in ("102", "101", "103"):
        body = {"number": number, "password": "a-good-one"}
        assert (await api.client.post(place, json=body, headers=api.acme)).status_code == 201

    first = (await api.client.get(place, params={"limit": 2}, headers=api.acme)).json()
    rest = await api.client.get(place, params={"after": first["next"]}, headers=api.acme)
    one = f"{place}/{first['items'][0]['id']}"
    slow = await api.client.patch(one, json={"ring_timeout_s": 5}, headers=api.acme)
    normal = await api.client.patch(one, json={"ring_timeout_s": None}, headers=api.acme)
    removed = await api.client.delete(one, headers=api.acme)

    assert [entry["number"] for entry in first["items"]] == ["101", "102"]
    assert [entry["number"] for entry in rest.json()["items"]] == ["103"]
    assert "password" not in first["items"][0]
    assert slow.json()["ring_timeout_s"] == 5
    assert normal.json()["ring_timeout_s"] is None
    assert removed.status_code == 204
    assert "Content-Type" not in removed.headers
    assert (await api.client.get(one, headers=api.acme)).status_code == 404


async def test_a_body_with_an_unknown_field_is_refused_by_its_name(api: Api) -> None:
    body = {"number": "101", "password": "a-good-one", "colour": "red"}
    reply = await api.client.post("/v1/tenants/acme/extensions", json=body, headers=api.acme)

    assert reply.status_code == 422
    assert reply.json()["errors"][0]["field"] == "body.colour"


async def test_text_that_could_become_a_header_line_is_refused(api: Api) -> None:
    body = {"number": "101", "password": "a-good-one", "display_name": "x\r\nX-Evil: 1"}
    reply = await api.client.post("/v1/tenants/acme/extensions", json=body, headers=api.acme)

    assert reply.status_code == 422


async def test_live_calls_come_from_the_snapshots_of_the_tenant(api: Api) -> None:
    progress = CallProgress(
        call_id=CallId("c1"),
        caller="101",
        callee="102",
        dialled="102",
        started_at=NOW,
        owner=InstanceId("callmanager-1"),
    )
    snapshot = msgspec.msgpack.encode(
        LiveCall(state="ringing", progress=progress, tenant_id=TenantId("acme"))
    )
    owned = OwnedCall(progress.call_id, TenantId("acme"), 1.0, 1)
    await LiveCalls(api.backing.state).create(owned, progress.owner, snapshot, 600.0)

    own = await api.client.get("/v1/tenants/acme/calls", headers=api.acme)
    others = await api.client.get("/v1/tenants/other/calls", headers=api.other)
    stranger = await api.client.get("/v1/tenants/other/calls/c1", headers=api.other)

    assert [(call["call_id"], call["state"]) for call in own.json()["items"]] == [("c1", "ringing")]
    assert others.json()["items"] == []
    assert stranger.status_code == 404


async def test_registrations_that_have_expired_are_not_shown(api: Api) -> None:
    bindings = [
        Binding(
            aor="sip:101@acme.example",
            contact=f"sip:101@192.0.2.{host}",
            expires_at=expires_at,
            call_id="c",
            cseq=1,
            edge=InstanceId("edge-1"),
            source=f"192.0.2.{host}",
        )
        for host, expires_at in ((1, 10.0), (2, 4e9))
    ]
    stored = Bindings(api.backing.state)
    await stored.replace("101@acme.example", bindings, 0, wall_s=0.0)
    await stored.list_aor(TenantId("acme"), "101@acme.example", bindings)

    reply = await api.client.get("/v1/tenants/acme/registrations", headers=api.acme)

    assert [entry["source"] for entry in reply.json()["items"]] == ["192.0.2.2"]


async def test_cdrs_are_listed_newest_first_and_by_party(api: Api) -> None:
    db = api.backing.db
    records = [
        CallRecord(
            call_id=CallId(f"c{minute}"),
            tenant_id=TenantId("acme"),
            caller=caller,
            callee="102",
            dialled="102",
            started_at=NOW + timedelta(minutes=minute),
            ended_at=NOW + timedelta(minutes=minute, seconds=9),
            termination=Termination(
                result=CallResult.BUSY, reason="busy", sip_status=486, by=EndedBy.CALLEE
            ),
        )
        for minute, caller in enumerate(("101", "103", "101"))
    ]
    async with db.write() as connection:
        await CdrRepository(db).upsert(connection, records)

    place = "/v1/tenants/acme/cdrs"
    first = (await api.client.get(place, params={"limit": 2}, headers=api.acme)).json()
    rest = await api.client.get(place, params={"after": first["next"]}, headers=api.acme)
    of_103 = await api.client.get(place, params={"party": "103"}, headers=api.acme)
    one = await api.client.get(f"{place}/c0", headers=api.acme)
    foreign = await api.client.get("/v1/tenants/other/cdrs/c0", headers=api.other)

    assert [entry["call_id"] for entry in first["items"]] == ["c2", "c1"]
    assert [entry["call_id"] for entry in rest.json()["items"]] == ["c0"]
    assert [entry["call_id"] for entry in of_103.json()["items"]] == ["c1"]
    assert one.json()["termination"] == {
        "result": "busy", "reason": "busy", "sip_status": 486, "by": "callee",
    }  # fmt: skip
    assert foreign.status_code == 404


async def test_the_description_page_needs_no_other_server(api: Api) -> None:
    page = await api.client.get("/docs")
    document = (await api.client.get("/openapi.json")).json()

    assert page.status_code == 200
    assert "https://" not in page.text
    assert document["openapi"].startswith("3.1")
    assert {"/v1/tenants", "/v1/tenants/{tenant_id}/cdrs"} <= document["paths"].keys()
