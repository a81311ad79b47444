"""What the API does for any client, whatever it asks for."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
import structlog
from tests.integration.restgateway.conftest import Api

from parley.backing.db.tokens import TokenRepository
from parley.backing.errors import BackingUnavailable
from parley.restgateway import requests
from parley.service.log import configure_logging

EXTENSIONS = "/v1/tenants/acme/extensions"


async def test_an_outage_is_503_with_a_time_to_come_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_args: object) -> None:
        raise BackingUnavailable("the database does not answer")

    monkeypatch.setattr(TokenRepository, "verify", away)
    reply = await api.client.get("/v1/tenants", headers=api.platform)

    assert reply.status_code == 503
    assert int(reply.headers["Retry-After"]) > 0
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.json()["type"] == "urn:parley:error:temporarily-unavailable"
    assert "database" not in reply.text


async def test_an_outage_of_shared_state_is_503_with_a_time_to_come_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_args: object) -> None:
        raise BackingUnavailable("Redis does not answer")

    monkeypatch.setattr(api.backing.state, "get", away)
    reply = await api.client.get("/v1/tenants/acme/calls/c1", headers=api.acme)

    assert reply.status_code == 503
    assert "Retry-After" in reply.headers


async def _pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1024):
        yield b"x" * 1024
        await asyncio.sleep(0)


@pytest.mark.parametrize("body", [lambda: b"x" * 70_000, lambda: _pieces(70_000)])
async def test_a_large_body_is_refused_before_anybody_asks_whose_it_is(
    api: Api, body: Callable[[], bytes | AsyncIterator[bytes]]
) -> None:
    reply = await api.client.post(EXTENSIONS, content=body())

    assert reply.status_code == 413
    assert reply.headers["Connection"] == "close"
    assert reply.json()["type"] == "urn:parley:error:body-too-large"
    assert reply.json()["title"] == "Content Too Large"


async def test_broken_json_is_400_and_another_media_type_415(api: Api) -> None:
    headers = api.acme | {"Content-Type": "application/json"}
    broken = await api.client.post(EXTENSIONS, content=b"{", headers=headers)
    form = await api.client.post(EXTENSIONS, data={"number": "101"}, headers=api.acme)
    wrong = await api.client.post(EXTENSIONS, json={"number": 1}, headers=api.acme)

    assert (broken.status_code, form.status_code, wrong.status_code) == (400, 415, 422)
    assert broken.json()["type"] == "urn:parley:error:malformed-json"
    assert wrong.json()["title"] == "Unprocessable Content"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/tenants", {"GET", "POST", "HEAD", "OPTIONS"}),
        ("/v1/tenants/acme", {"GET", "PATCH", "DELETE", "HEAD", "OPTIONS"}),
        (EXTENSIONS, {"GET", "POST", "HEAD", "OPTIONS"}),
        ("/v1/tenants/acme/calls", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_allow_names_every_method_of_a_path(api: Api, path: str, methods: set[str]) -> None:
    refused = await api.client.put(path, json={}, headers=api.platform)
    options = await api.client.options(path)

    assert refused.status_code == 405
    assert set(refused.headers["Allow"].split(", ")) == methods
    assert options.status_code == 204
    assert set(options.headers["Allow"].split(", ")) == methods


async def test_head_is_a_get_without_its_body(api: Api) -> None:
    got = await api.client.get("/v1/tenants", headers=api.platform)
    head = await api.client.head("/v1/tenants", headers=api.platform)

    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Length"] == got.headers["Content-Length"]


async def test_a_request_keeps_its_id_or_gets_one(api: Api) -> None:
    own = await api.client.get("/v1/tenants", headers={"X-Request-Id": "abc-1"})
    made = await api.client.get("/v1/tenants", headers={"X-Request-Id": "x y" * 50})

    assert own.headers["X-Request-Id"] == own.json()["request_id"] == "abc-1"
    assert len(made.headers["X-Request-Id"]) >= 16
    assert made.headers["X-Request-Id"] == made.json()["request_id"]


async def test_requests_are_counted_by_route_and_logged_without_secrets(
    api: Api, log_stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logging("info", log_stream)
    structlog.configure(cache_logger_on_first_use=False)
    # A logger of its own: one that was used may keep the logging that was set up then.
    monkeypatch.setattr(requests, "_access", structlog.stdlib.get_logger())
    headers = api.acme | {"X-Request-Id": "abc-2"}
    await api.client.get("/v1/tenants/acme/cdrs?party=secret", headers=headers)
    await api.client.get("/no/such/thing")

    first, second = map(json.loads, log_stream.getvalue().splitlines())
    labels = {"method": "GET", "route": "/v1/tenants/{tenant_id}/cdrs", "status": "200"}
    assert api.registry.value("parley_restgateway_requests_total", labels) == 1
    assert first["route"] == labels["route"]
    assert (first["method"], first["status"], first["tenant_id"]) == ("GET", 200, "acme")
    assert first["request_id"] == "abc-2"
    assert first["token"]
    assert (second["route"], second["status"]) == ("other", 404)
    assert "secret" not in log_stream.getvalue()
    assert api.acme["Authorization"].split()[1] not in log_stream.getvalue()
    assert api.registry.value("parley_restgateway_requests_in_flight") == 0


async def test_an_unknown_query_parameter_is_refused_by_its_name(api: Api) -> None:
    reply = await api.client.get("/v1/tenants?limitt=1", headers=api.platform)

    assert reply.status_code == 422
    assert reply.json()["errors"] == [{"field": "query.limitt", "message": "unknown parameter"}]


async def test_a_range_that_ends_before_it_begins_is_refused(api: Api) -> None:
    params = {"since": "2026-11-02T00:00:00Z", "until": "2026-11-01T00:00:00Z"}
    reply = await api.client.get("/v1/tenants/acme/cdrs", params=params, headers=api.acme)

    assert reply.status_code == 422
    assert reply.json()["errors"][0]["field"] == "query.since"


async def test_only_named_origins_may_use_the_api_from_a_page(api: Api) -> None:
    ours, other = "https://console.example", "https://evil.example"
    asked = {"Access-Control-Request-Method": "PATCH"}
    preflight = await api.client.options("/v1/tenants/acme", headers=asked | {"Origin": ours})
    reply = await api.client.get("/v1/tenants", headers=api.acme | {"Origin": ours})
    foreign = await api.client.get("/v1/tenants", headers=api.acme | {"Origin": other})

    assert preflight.headers["Access-Control-Allow-Origin"] == ours
    assert reply.headers["Access-Control-Allow-Origin"] == ours
    assert "Access-Control-Allow-Origin" not in foreign.headers


async def test_the_root_says_what_is_where(api: Api) -> None:
    reply = await api.client.get("/")

    assert reply.json()["documentation"] == "/docs"
    assert reply.json()["version"]


async def test_the_description_says_how_errors_look(api: Api) -> None:
    document = (await api.client.get("/openapi.json")).json()
    operations = [
        operation for methods in document["paths"].values() for operation in methods.values()
    ]

    assert all(
        list(operation["responses"]["default"]["content"]) == ["application/problem+json"]
        for operation in operations
    )
    assert not any("422" in operation["responses"] for operation in operations)
    assert {"Problem", "InvalidField"} <= document["components"]["schemas"].keys()
    assert "list_tenants" in {operation["operationId"] for operation in operations}
    assert {tag["name"] for tag in document["tags"]} >= {"tenants", "calls", "platform"}


async def test_every_page_of_the_documentation_is_served(api: Api) -> None:
    client: httpx2.AsyncClient = api.client

    assert (await client.get("/docs")).status_code == 200
    assert (await client.head("/docs")).status_code == 200
    assert (await client.get("/redoc")).status_code == 200
