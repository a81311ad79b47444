"""What an operator may say about trust between services, and what is refused."""

from pathlib import Path

import pytest
from tests.cluster.authority import Authority

from parley.service.errors import SettingsError, StartError
from parley.service.inside import Inside, InsideSettings
from parley.service.settings import Settings
from parley.testkit.clock import FakeClock

SECRET = "a secret of the platform"


def inside(**values: object) -> Inside:
    settings = InsideSettings.load(**values)
    return Inside(settings, "callmanager", ("edgeproxy",), FakeClock())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "callmanager-1.parley"])
def test_listening_beyond_loopback_needs_tls_or_the_word_plain(host: str) -> None:
    for each in (inside(), inside(secret=SECRET)):
        with pytest.raises(StartError, match="without TLS"):
            each.check_hosts("The call manager", "127.0.0.1", host)

    inside(secret=SECRET, plain=True).check_hosts("The call manager", host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.0.9", "::1", "localhost", ""])
def test_listening_on_loopback_needs_nothing(host: str) -> None:
    inside().check_hosts("The call manager", host)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"tls_certificate": "a.crt"}, "must be set together"),
        ({"tls_certificate": "a", "tls_key": "b", "tls_ca": "c", "plain": True}, "no use"),
        ({"tls_certificate": "a", "tls_key": "b", "tls_ca": "c", "secret": SECRET}, "no use"),
        ({"plain": True}, "need PARLEY_INSIDE_SECRET"),
        ({"other_secret": SECRET}, "need PARLEY_INSIDE_SECRET"),
        ({"secret": "short"}, "at least 16 characters"),
    ],
)
def test_contradiction_is_refused_with_one_sentence(
    values: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        InsideSettings.load(**values)


def test_secret_comes_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    monkeypatch.setenv("PARLEY_INSIDE_SECRET_FILE", str(path))

    assert inside().needs_token


def test_every_service_reads_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from parley.callmanager.settings import CallManagerSettings
    from parley.edgeproxy.settings import EdgeSettings

    monkeypatch.setenv("PARLEY_INSIDE_SECRET", SECRET)
    kinds: tuple[type[Settings], ...] = (EdgeSettings, CallManagerSettings)
    for kind in kinds:
        assert kind.load().inside.secret.get_secret_value() == SECRET  # type: ignore[attr-defined]
    monkeypatch.setenv("PARLEY_INSIDE_SECRTE", SECRET)
    for kind in kinds:
        with pytest.raises(SettingsError, match="PARLEY_INSIDE_SECRTE is not a setting"):
            kind.load()


def test_certificate_of_a_peer_is_told_by_its_names(authority: Authority) -> None:
    files = authority.issue_role("callmanager")
    made = inside(tls_certificate=files.certificate, tls_key=files.key, tls_ca=files.ca)

    assert made.has_peer_name({"10.0.0.1", "edgeproxy.parley.internal"})
    assert not made.has_peer_name({"mediarelay.parley.internal", "edgeproxy.other.internal"})
    assert not made.has_peer_name({"edgeproxy", "x.edgeproxy.parley.internal"})
    assert not made.has_peer_name(())
