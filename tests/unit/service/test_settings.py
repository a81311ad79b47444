"""Settings come from the environment or refuse with one sentence."""

from pathlib import Path

import pytest
from pydantic import SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from parley.service.errors import SettingsError
from parley.service.settings import CommaList, LogLevel, PortRange, Ports, Settings


class _DemoSettings(Settings):
    model_config = SettingsConfigDict(env_prefix="PARLEY_DEMO_")

    host: str = "127.0.0.1"
    port: int = 5060
    edge_hosts: CommaList = ()
    rtp_ports: Ports = PortRange(20000, 29999)
    log_level: LogLevel = "info"
    token: SecretStr | None = None

    @model_validator(mode="after")
    def _check(self) -> "_DemoSettings":
        if self.host == "0.0.0.0" and self.token is None:
            raise ValueError("PARLEY_DEMO_TOKEN is needed to listen on every address")
        return self


def test_every_default_is_runnable() -> None:
    settings = _DemoSettings.load()

    assert settings.port == 5060
    assert settings.rtp_ports == PortRange(20000, 29999)


def test_environment_is_read_and_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_DEMO_PORT", "5070")
    monkeypatch.setenv("PARLEY_DEMO_EDGE_HOSTS", "127.0.0.2, 127.0.0.3,")
    monkeypatch.setenv("PARLEY_DEMO_RTP_PORTS", "3000-3999")
    monkeypatch.setenv("PARLEY_DEMO_LOG_LEVEL", "DEBUG")

    settings = _DemoSettings.load()

    assert settings.port == 5070
    assert settings.edge_hosts == ("127.0.0.2", "127.0.0.3")
    assert settings.rtp_ports == PortRange(3000, 3999)
    assert settings.log_level == "debug"


def test_empty_value_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_DEMO_PORT", "")

    assert _DemoSettings.load().port == 5060


def test_what_the_process_decides_cannot_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _DemoSettings.load(port=0).port == 0

    monkeypatch.setenv("PARLEY_DEMO_PORT", "5070")
    with pytest.raises(SettingsError, match="PARLEY_DEMO_PORT has no effect here"):
        _DemoSettings.load(port=0)

    monkeypatch.setenv("PARLEY_DEMO_PORT", "tcp://10.0.0.7:8080")  # a service link of Kubernetes
    assert _DemoSettings.load(port=0).port == 0


def test_unknown_key_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_DEMO_PROT", "5070")

    with pytest.raises(SettingsError) as caught:
        _DemoSettings.load()

    assert str(caught.value) == "PARLEY_DEMO_PROT is not a setting of this service."


def test_keys_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_OTHER_PORT", "1")
    monkeypatch.setenv("PARLEY_TEST_POSTGRES_URL", "x")

    assert _DemoSettings.load().port == 5060


def test_service_links_of_kubernetes_are_as_if_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "tcp://10.0.0.7:5060"
    for name in ("PARLEY_DEMO", "PARLEY_DEMO_INSIDE", "PARLEY_DEMO_SIP_TCP"):
        monkeypatch.setenv(f"{name}_SERVICE_HOST", "10.0.0.7")
        monkeypatch.setenv(f"{name}_SERVICE_PORT", "5060")
        monkeypatch.setenv(f"{name}_SERVICE_PORT_SIP_UDP", "5060")
        monkeypatch.setenv(f"{name}_PORT", address)
        monkeypatch.setenv(f"{name}_PORT_5060_TCP", address)
        monkeypatch.setenv(f"{name}_PORT_5060_TCP_PROTO", "tcp")
        monkeypatch.setenv(f"{name}_PORT_5060_UDP_ADDR", "10.0.0.7")

    assert _DemoSettings.load().port == 5060


@pytest.mark.parametrize("key", ["PORTS", "SERVICE", "PORT_TCP", "EDGE_PORT"])
def test_a_misspelt_key_is_no_service_link(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv(f"PARLEY_DEMO_{key}", "5070")

    with pytest.raises(SettingsError, match="is not a setting"):
        _DemoSettings.load()


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("PORT", "many", "PARLEY_DEMO_PORT: input should be a valid integer"),
        ("RTP_PORTS", "20000", "PARLEY_DEMO_RTP_PORTS: must be two ports joined by a dash"),
        ("RTP_PORTS", "9-1", "PARLEY_DEMO_RTP_PORTS: must be an ascending range"),
        ("LOG_LEVEL", "loud", "PARLEY_DEMO_LOG_LEVEL: must be one of debug, info"),
        ("HOST", "0.0.0.0", "PARLEY_DEMO_TOKEN is needed to listen on every address."),
    ],
)
def test_malformed_or_contradictory_value_refuses_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, key: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(f"PARLEY_DEMO_{key}", value)

    with pytest.raises(SettingsError) as caught:
        _DemoSettings.load()

    assert str(caught.value).startswith(sentence)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_secret_is_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    monkeypatch.setenv("PARLEY_DEMO_TOKEN_FILE", str(file))

    token = _DemoSettings.load().token

    assert token is not None
    assert token.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(token)


def test_secret_given_twice_refuses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PARLEY_DEMO_TOKEN", "x")
    monkeypatch.setenv("PARLEY_DEMO_TOKEN_FILE", str(tmp_path / "token"))

    with pytest.raises(SettingsError, match="are both set; set one"):
        _DemoSettings.load()


def test_unreadable_secret_file_refuses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PARLEY_DEMO_TOKEN_FILE", str(tmp_path / "none"))

    with pytest.raises(SettingsError, match="cannot read .*No such file"):
        _DemoSettings.load()


def test_refusal_ends_the_process_with_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARLEY_DEMO_PROT", "1")

    with pytest.raises(SystemExit) as caught:
        _DemoSettings.load_or_exit()

    assert caught.value.code == 2
    assert capsys.readouterr().err == "PARLEY_DEMO_PROT is not a setting of this service.\n"
