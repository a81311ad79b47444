"""Which numbers and passwords an extension may have."""

import pytest
from tests.integration.restgateway.conftest import Api

TENANT = "/v1/tenants/acme"
EXTENSIONS = f"{TENANT}/extensions"


async def test_a_service_number_is_no_extensions(api: Api) -> None:
    one = await api.client.post(EXTENSIONS, json={"number": "101"}, headers=api.acme)
    place = one.headers["Location"]
    created = await api.client.post(EXTENSIONS, json={"number": "999"}, headers=api.acme)
    changed = await api.client.patch(place, json={"number": "999"}, headers=api.acme)

    assert created.status_code == changed.status_code == 409
    assert created.json()["errors"][0]["field"] == "body.number"


async def test_an_extensions_number_becomes_no_service_number(api: Api) -> None:
    await api.client.post(EXTENSIONS, json={"number": "101"}, headers=api.acme)
    taken = {"settings": {"echo_number": "101"}}
    refused = await api.client.patch(TENANT, json=taken, headers=api.acme)
    free = {"settings": {"echo_number": "100"}}
    moved = await api.client.patch(TENANT, json=free, headers=api.acme)
    former = await api.client.post(EXTENSIONS, json={"number": "999"}, headers=api.acme)

    assert refused.status_code == 409
    assert refused.json()["errors"][0]["field"] == "body.settings.echo_number"
    assert moved.json()["settings"]["echo_number"] == "100"
    assert former.status_code == 201


async def test_settings_that_are_not_named_stay(api: Api) -> None:
    for settings in ({"ring_timeout_s": 7}, {"max_bindings": 3}):
        reply = await api.client.patch(TENANT, json={"settings": settings}, headers=api.acme)

    assert reply.json()["settings"] == {
        "ring_timeout_s": 7,
        "echo_number": "999",
        "media_timeout_s": 60,
        "max_bindings": 3,
    }
    endless = {"settings": {"media_timeout_s": 38302.66}}
    assert (await api.client.patch(TENANT, json=endless, headers=api.acme)).status_code == 422


async def test_a_password_that_was_left_out_is_made_and_shown_once(api: Api) -> None:
    made = await api.client.post(EXTENSIONS, json={"number": "101"}, headers=api.acme)
    body = {"number": "102", "password": "my-own-secret"}
    own = await api.client.post(EXTENSIONS, json=body, headers=api.acme)
    shown = await api.client.get(made.headers["Location"], headers=api.acme)

    assert len(made.json()["password"]) >= 16
    assert own.json()["password"] is None
    assert "password" not in shown.json()


@pytest.mark.parametrize(
    "password", ["1", "1234567", "aaaaaaaaaaaa", "12345678", "4711471147114711", "anna1234anna1234"]
)
async def test_what_a_guesser_tries_first_is_no_password(api: Api, password: str) -> None:
    body = {"number": "4711", "auth_name": "anna1234", "password": password}
    created = await api.client.post(EXTENSIONS, json=body, headers=api.acme)
    body["password"] = "one-that-is-good"
    place = (await api.client.post(EXTENSIONS, json=body, headers=api.acme)).headers["Location"]
    changed = await api.client.patch(place, json={"password": password}, headers=api.acme)

    assert created.status_code == changed.status_code == 422
    assert created.json()["errors"][0]["field"] == "body.password"


async def test_a_number_that_cannot_be_is_refused_as_a_number(api: Api) -> None:
    reply = await api.client.post(EXTENSIONS, json={"number": "abc def"}, headers=api.acme)

    assert reply.status_code == 422
    assert reply.json()["errors"][0]["field"] == "body.number"
    assert "auth name" not in reply.text
