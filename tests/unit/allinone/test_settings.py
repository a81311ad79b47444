"""Settings of the all-in-one process: refused in one sentence when they make no sense."""

import pytest

from parley.allinone.settings import AllInOneSettings
from parley.service.errors import SettingsError
from parley.service.settings import PortRange

REFUSED = {
    "unknown name": {"PARLEY_SIP_PROT": "5060"},
    "port that is no number": {"PARLEY_SIP_PORT": "sip"},
    "port too large": {"PARLEY_SIP_PORT": "70000"},
    "negative port": {"PARLEY_API_PORT": "-1"},
    "port 0 for phones": {"PARLEY_SIP_PORT": "0"},
    "TLS on the plain port": {"PARLEY_SIP_PORT": "5070", "PARLEY_SIP_TLS_PORT": "5070"},
    "API on the port of SIP": {"PARLEY_API_PORT": "5060"},
    "WSI on the port of health": {"PARLEY_WSI_PORT": "9090"},
    "SIP inside the media range": {"PARLEY_SIP_PORT": "20100"},
    "media range upside down": {"PARLEY_RTP_PORTS": "200-100"},
    "media range without end": {"PARLEY_RTP_PORTS": "20000"},
    "host that is a name": {"PARLEY_HOST": "phones.example"},
    "host that is everything": {"PARLEY_HOST": "0.0.0.0"},
    "edge host that is no address": {"PARLEY_EDGE_HOSTS": "127.0.0.2,there"},
    "edge host twice": {"PARLEY_EDGE_HOSTS": "127.0.0.2,127.0.0.2"},
    "edge host that is the host": {"PARLEY_EDGE_HOSTS": "127.0.0.1"},
    "relay without port": {"PARLEY_MEDIA_RELAYS": "127.0.0.1"},
    "relay twice": {"PARLEY_MEDIA_RELAYS": "127.0.0.1:7100,127.0.0.1:7100"},
    "negative drain": {"PARLEY_DRAIN_S": "-1"},
    "drain for ever": {"PARLEY_DRAIN_S": "inf"},
    "log level unknown": {"PARLEY_LOG_LEVEL": "loud"},
    "peer without domain": {"PARLEY_TRUSTED_PEERS": "127.0.0.1"},
}


@pytest.mark.parametrize("case", REFUSED)
def test_nonsense_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    for name, value in REFUSED[case].items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refusal:
        AllInOneSettings.load()
    text = str(refusal.value)
    assert text.endswith(".")
    assert "\n" not in text
    assert any(name in text for name in REFUSED[case])


def test_defaults_are_runnable() -> None:
    settings = AllInOneSettings.load()
    assert (settings.host, settings.sip_port, settings.sip_tls_port) == ("127.0.0.1", 5060, 5061)
    assert (settings.api_port, settings.wsi_port, settings.health_port) == (8080, 8081, 9090)
    assert settings.rtp_ports == PortRange(20000, 29999)


def test_settings_of_single_services_are_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_EDGEPROXY_NONCE_LIFE_S", "5")
    monkeypatch.setenv("PARLEY_BACKING_SYNC", "never")
    assert AllInOneSettings.load().host == "127.0.0.1"


def test_all_that_can_be_told_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "PARLEY_HOST": "::1",
        "PARLEY_EDGE_HOSTS": "127.0.0.2, 127.0.0.3",
        "PARLEY_MEDIA_RELAYS": "127.0.0.1:7100,[::1]:7101",
        "PARLEY_TRUSTED_PEERS": "192.0.2.1:5060=demo.localhost",
        "PARLEY_DRAIN_S": "0",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    settings = AllInOneSettings.load()
    assert settings.edge_hosts == ("127.0.0.2", "127.0.0.3")
    assert settings.media_relays == ("127.0.0.1:7100", "[::1]:7101")
