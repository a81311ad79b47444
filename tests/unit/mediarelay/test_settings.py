import socket
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from parley.backing.factory import Port, create_backing
from parley.backing.settings import BackingSettings
from parley.mediaengine import Engine
from parley.mediarelay.app import GrpcFront, RelayService, create_app
from parley.mediarelay.settings import MediaRelaySettings
from parley.service.clock import SystemClock
from parley.service.errors import SettingsError, StartError
from parley.service.metrics import Registry
from parley.service.settings import PortRange


def test_every_default_is_runnable() -> None:
    settings = MediaRelaySettings.load()
    assert settings.rtp_ports == (20000, 29999)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_MEDIARELAY_RTP_PORTS", "30000-30099")
    monkeypatch.setenv("PARLEY_MEDIARELAY_GRPC_PORT", "7200")
    settings = MediaRelaySettings.load()
    assert (settings.rtp_ports, settings.grpc_port) == ((30000, 30099), 7200)


@pytest.mark.parametrize(
    ("key", "value"),
    [("HOST", "relay.example"), ("THREADS", "0"), ("RTP_PORTS", "9-5"), ("NONSENSE", "1")],
)
def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, key: str, value: str) -> None:
    monkeypatch.setenv(f"PARLEY_MEDIARELAY_{key}", value)
    with pytest.raises(SettingsError, match=key):
        MediaRelaySettings.load()


async def test_call_managers_have_an_address_of_their_own() -> None:
    settings = MediaRelaySettings.load(
        host="127.0.0.2",
        rtp_ports=PortRange(32500, 32539),
        grpc_host="127.0.0.3",
        grpc_advertised_host="relay.example",
        grpc_port=0,
    )
    services = create_app(settings, Registry(), SystemClock(), None)
    for service in services:
        await service.start()
    try:
        [front] = services[1:]
        assert isinstance(front, GrpcFront)
        assert front.address == front.report().address == f"relay.example:{front.port}"
        socket.create_connection(("127.0.0.3", front.port), 3).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", front.port), 3)
    finally:
        for service in reversed(services):
            await service.aclose()


@pytest.mark.parametrize(("host", "count"), [("127.0.0.1", 0), ("192.0.2.1", 1)])
def test_an_announced_relay_that_only_its_own_machine_reaches_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str, count: int
) -> None:
    # The address is not this machine's: the engine is made for loopback all the same.
    engine = Engine("127.0.0.1", 32500, 32539)
    monkeypatch.setattr("parley.mediarelay.app._make_engine", lambda _: engine)
    backing = create_backing(
        Port.STATE | Port.DISCOVERY, BackingSettings.load(data=tmp_path), SystemClock(), Registry()
    )
    try:
        with capture_logs() as logs:
            create_app(MediaRelaySettings.load(host=host), Registry(), SystemClock(), backing)
    finally:
        engine.shut_down()
    warnings = [entry["event"] for entry in logs if "only call managers" in entry["event"]]
    assert len(warnings) == count


@pytest.mark.parametrize("networks", ["10.0.0.0/33", "here"])
def test_networks_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch, networks: str) -> None:
    for name in ("ALLOWED_NETWORKS", "FORBIDDEN_NETWORKS"):
        monkeypatch.setenv(f"PARLEY_MEDIARELAY_{name}", networks)
        with pytest.raises(SettingsError, match=name):
            MediaRelaySettings.load()
        monkeypatch.delenv(f"PARLEY_MEDIARELAY_{name}")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1"])
def test_an_address_that_cannot_carry_media_keeps_the_relay_from_starting(host: str) -> None:
    with pytest.raises(StartError, match="media"):
        RelayService(MediaRelaySettings.load(host=host), Registry())
