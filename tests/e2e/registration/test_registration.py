"""Phones register, refresh and leave; those that may not are refused."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from parley.testkit.phones.baresip_config import Transport
from parley.testkit.phones.line import Line
from parley.testkit.phones.sip_trace import messages_of
from parley.testkit.platform.desk import Desk

HERE = Path(__file__).parent
SippTransport = Literal["udp", "tcp"]
NONCE_MS = "5200"


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_baresip_registers_and_leaves(desk: Desk, transport: Transport) -> None:
    [line] = await desk.lines(1)
    async with desk.events("registration") as events:
        async with desk.baresip(line, transport) as phone:
            await phone.registered()
            [contact] = await desk.api.contacts_of(line)
            assert f"{phone.host}:" in contact["contact"]
        await desk.api.wait_for_contacts(line, 0)
        aor = f"sip:{line.number}@{line.domain}"
        await events.until("registration.removed", aor=aor)
    kinds = [event["type"] for event in events.seen if event["data"]["aor"] == aor]
    assert kinds == ["registration.added", "registration.removed"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_binding_lives_from_register_to_unregister(
    desk: Desk, transport: SippTransport
) -> None:
    [line] = await desk.lines(1)
    async with desk.events("registration") as events:
        await desk.sipp(line, transport).run(HERE / "life_of_a_binding.xml")
        aor = f"sip:{line.number}@{line.domain}"
        await events.until("registration.removed", aor=aor)
    kinds = [event["type"] for event in events.seen if event["data"]["aor"] == aor]
    assert kinds == ["registration.added", "registration.refreshed", "registration.removed"]
    assert await desk.api.contacts_of(line) == []


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("wrong", ["password", "number"])
async def test_wrong_credentials_bind_nothing(
    desk: Desk, transport: SippTransport, wrong: str
) -> None:
    [line] = await desk.lines(1)
    liar = replace(line, **{wrong: "7654"})
    await desk.sipp(liar, transport).run(HERE / "refused_credentials.xml")
    assert await desk.api.contacts_of(line) == []


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_unknown_domain_is_refused_at_once(desk: Desk, transport: SippTransport) -> None:
    stranger = Line("1001", "any", "nowhere.invalid")
    await desk.sipp(stranger, transport).run(HERE / "refused_at_once.xml")


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_baresip_with_wrong_password_is_refused(desk: Desk, transport: Transport) -> None:
    [line] = await desk.lines(1)
    async with desk.baresip(replace(line, password="wrong"), transport) as phone:
        assert (await phone.register_failed())[:3] in ("401", "403")
    assert await desk.api.contacts_of(line) == []


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_expired_nonce_is_told_to_be_stale(desk: Desk, transport: SippTransport) -> None:
    [line] = await desk.lines(1)
    phone = desk.sipp(line, transport)
    result = await phone.run(HERE / "stale_nonce.xml", NONCE_MS=NONCE_MS)
    first, again = messages_of(result.messages, "REGISTER", 401)
    assert "stale" not in (first.header("WWW-Authenticate") or "").lower()
    assert "stale" in (again.header("WWW-Authenticate") or "").lower()
