import pytest

from parley.mediarelay.app import RelayService
from parley.mediarelay.settings import MediaRelaySettings
from parley.service.errors import SettingsError, StartError
from parley.service.metrics import Registry


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


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1"])
def test_an_address_that_cannot_carry_media_keeps_the_relay_from_starting(host: str) -> None:
    with pytest.raises(StartError, match="media"):
        RelayService(MediaRelaySettings.load(host=host), Registry())
