"""What an edge says it did has been written down, and no later than it is said."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.edgeproxy.conftest import DOMAIN, PORTS

from parley.backing.factory import Backing, Port, create_backing
from parley.backing.settings import BackingSettings
from parley.backing.state.bindings import Bindings
from parley.service.clock import SystemClock
from parley.service.metrics import Registry
from parley.sip.hop import Hop
from parley.sip.message import Request, Response

if TYPE_CHECKING:
    from tests.integration.edgeproxy.conftest import Phone


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def backing(data: Path) -> AsyncIterator[Backing]:
    """Embedded services that keep what they have in a folder."""
    backing = create_backing(PORTS, BackingSettings.load(data=data), SystemClock(), Registry())
    try:
        await backing.start()
        yield backing
    finally:
        await backing.aclose()


async def _registered(data: Path) -> list[str]:
    """What somebody who starts on a folder takes for registered."""
    backing = create_backing(Port.STATE, BackingSettings.load(data=data), SystemClock(), Registry())
    try:
        await backing.start()
        found = await Bindings(backing.state).find(f"1001@{DOMAIN}")
        return [binding.contact for binding in found.bindings]
    finally:
        await backing.aclose()


async def test_a_binding_is_in_the_journal_before_its_200_is_sent(
    phone: "Phone", data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    udp = phone.edge.node.transports["udp"]
    send = udp.send
    as_sent = tmp_path / "as-sent"

    def copy_and_send(message: Request | Response, hop: Hop) -> None:
        # What a process leaves behind that is killed in this moment.
        if isinstance(message, Response) and message.status == 200:
            shutil.copytree(data, as_sent)
        send(message, hop)

    monkeypatch.setattr(udp, "send", copy_and_send)
    assert (await phone.register()).status == 200

    assert await _registered(as_sent) == [phone.contact]
