"""Entity tags of tenants and extensions: who changes what somebody else changed is told so."""

import httpx2
import pytest
from tests.integration.restgateway.conftest import Api

TENANT = "/v1/tenants/acme"
MISMATCH = "urn:parley:error:version-mismatch"
# Statuses by the header's value, of a resource at version 1.
IF_MATCH = {
    "*": 200,
    ' "x" , "1",, W/"7"': 200,
    '"1"': 200,
    'W/"1"': 412,
    '"01"': 412,
    '"0", "2", "", "' + "9" * 400 + '"': 412,
    '"x,1,y"': 412,
    "": 412,
    "1": 400,
    '"1': 400,
    '"1" "2"': 400,
    '*, "1"': 400,
    'w/"1"': 400,
}
IF_NONE_MATCH = {"*": 304, 'W/"1"': 304, '"7", "1"': 304, '"7"': 200, "1": 400}


@pytest.fixture(params=["tenant", "extension"])
async def place(request: pytest.FixtureRequest, api: Api) -> str:
    if request.param == "tenant":
        return TENANT
    body = {"number": "101"}
    made = await api.client.post(f"{TENANT}/extensions", json=body, headers=api.acme)
    return made.headers["Location"]


async def patch(api: Api, place: str, **headers: str) -> httpx2.Response:
    """Changes something of what is there."""
    body = {"name": "New"} if place == TENANT else {"display_name": "New"}
    sent = api.platform | {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.client.patch(place, json=body, headers=sent)


async def test_what_is_created_has_the_tag_that_it_is_shown_with(api: Api) -> None:
    bodies = {
        "/v1/tenants": {"name": "New", "domain": "new.example"},
        f"{TENANT}/extensions": {"number": "101"},
    }
    for collection, body in bodies.items():
        made = await api.client.post(collection, json=body, headers=api.platform)
        shown = await api.client.get(made.headers["Location"], headers=api.platform)

        assert made.headers["ETag"] == shown.headers["ETag"] == '"1"'


async def test_each_change_gives_another_tag(api: Api, place: str) -> None:
    before = (await api.client.get(place, headers=api.acme)).headers["ETag"]
    changed = (await patch(api, place)).headers["ETag"]
    after = (await api.client.get(place, headers=api.acme)).headers["ETag"]

    assert changed == after != before


async def test_of_two_who_read_the_same_the_second_changes_nothing(api: Api, place: str) -> None:
    read = (await api.client.get(place, headers=api.acme)).headers["ETag"]
    first = await patch(api, place, If_Match=read)
    second = await patch(api, place, If_Match=read)
    removal = await api.client.delete(place, headers=api.platform | {"If-Match": read})
    there = await api.client.get(place, headers=api.acme)

    assert first.status_code == 200
    assert second.status_code == removal.status_code == 412
    assert second.json()["type"] == removal.json()["type"] == MISMATCH
    assert second.headers["Content-Type"] == "application/problem+json"
    assert there.headers["ETag"] == first.headers["ETag"]


async def test_if_match_is_one_of_a_list_by_strong_comparison(api: Api, place: str) -> None:
    statuses = {}
    for header in IF_MATCH:
        headers = api.platform | {"If-Match": header}
        reply = await api.client.patch(place, json={}, headers=headers)
        statuses[header] = reply.status_code

    assert statuses == IF_MATCH


async def test_a_malformed_if_match_is_refused_by_its_name(api: Api, place: str) -> None:
    for headers in ({"If-Match": "nonsense"}, {"If-Match": '"1" "2"'}):
        reply = await api.client.delete(place, headers=api.platform | headers)

        assert reply.json()["type"] == "urn:parley:error:if-match-invalid"
        assert reply.json()["errors"][0]["field"] == "header.If-Match"


async def test_if_match_on_several_lines_is_one_list(api: Api, place: str) -> None:
    lines = [*api.platform.items(), ("If-Match", '"7"'), ("If-Match", '"1"')]
    removal = await api.client.delete(place, headers=lines)

    assert removal.status_code == 204


async def test_what_is_not_there_is_not_found_whatever_is_expected(api: Api, place: str) -> None:
    await api.client.delete(place, headers=api.platform)
    for expected in ("*", '"1"'):
        headers = api.platform | {"If-Match": expected}
        changed = await api.client.patch(place, json={}, headers=headers)
        removed = await api.client.delete(place, headers=headers)

        assert changed.status_code == removed.status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_who_has_it_as_it_is_gets_no_body(api: Api, place: str, method: str) -> None:
    statuses = {}
    for header in IF_NONE_MATCH:
        headers = api.acme | {"If-None-Match": header}
        reply = await api.client.request(method, place, headers=headers)
        statuses[header] = reply.status_code

        if reply.status_code == 304:
            assert (reply.content, reply.headers["ETag"]) == (b"", '"1"')

    assert statuses == IF_NONE_MATCH


async def test_another_tenants_things_have_no_tags(api: Api, place: str) -> None:
    for headers in ({"If-Match": '"1"'}, {"If-Match": "nonsense"}):
        reply = await api.client.request("PATCH", place, json={}, headers=api.other | headers)
        assert reply.status_code == 404


@pytest.mark.parametrize("path", ["", "/extensions/{extension_id}"])
async def test_the_description_names_tags_and_preconditions(api: Api, path: str) -> None:
    document = (await api.client.get("/openapi.json")).json()
    methods = document["paths"]["/v1/tenants/{tenant_id}" + path]
    names = {
        method: {one["name"] for one in operation["parameters"] if one["in"] == "header"}
        for method, operation in methods.items()
    }

    assert names == {"get": {"If-None-Match"}, "patch": {"If-Match"}, "delete": {"If-Match"}}
    for method, status in (("get", "200"), ("get", "304"), ("patch", "200")):
        assert "ETag" in methods[method]["responses"][status]["headers"]
    for method in ("patch", "delete"):
        refused = methods[method]["responses"]["412"]
        assert list(refused["content"]) == ["application/problem+json"]
