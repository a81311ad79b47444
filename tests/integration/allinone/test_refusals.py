"""What keeps the all-in-one from starting is told in one sentence."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from parley.testkit.platform.installation import Installation, end

pytestmark = pytest.mark.timeout(90)

FAILED, SETTINGS = 1, 2
MakeInstallation = Callable[[], Installation]


@contextmanager
def taken(port: int, kind: socket.SocketKind) -> Iterator[None]:
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", port))
        if kind is socket.SOCK_STREAM:
            holder.listen()
        yield


def assert_one_sentence(text: str) -> None:
    assert text.count("\n") == 1, text
    assert text.endswith(".\n")
    assert "Traceback" not in text
    assert "Errno" not in text


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("PARLEY_SIP_PORT", socket.SOCK_DGRAM),
        ("PARLEY_SIP_PORT", socket.SOCK_STREAM),
        ("PARLEY_SIP_TLS_PORT", socket.SOCK_STREAM),
        ("PARLEY_API_PORT", socket.SOCK_STREAM),
        ("PARLEY_WSI_PORT", socket.SOCK_STREAM),
        ("PARLEY_HEALTH_PORT", socket.SOCK_STREAM),
    ],
)
def test_a_taken_port_is_told(
    installation: Installation, setting: str, kind: socket.SocketKind
) -> None:
    port = installation.environment[setting]
    with taken(int(port), kind):
        status, text = installation.refused()
    assert status == FAILED
    assert_one_sentence(text)
    assert f"127.0.0.1:{port}" in text
    assert f"in use; {setting} chooses another." in text


def test_a_second_process_on_the_same_folder_is_refused(
    installation: Installation, make_installation: MakeInstallation
) -> None:
    child = installation.start()
    other = make_installation()
    status, text = other.refused(PARLEY_DATA=str(installation.data))
    assert status == FAILED
    assert_one_sentence(text)
    assert str(installation.data) in text
    assert installation.phone(0).is_alive()
    before = (installation.data / "demo.json").read_bytes()
    assert str(installation.environment["PARLEY_SIP_PORT"]).encode() in before
    end(child)


def test_a_refused_second_process_changes_no_secret(
    installation: Installation, make_installation: MakeInstallation
) -> None:
    child = installation.start()
    secrets = {path: path.read_bytes() for path in (installation.data / "secrets").iterdir()}
    make_installation().refused(PARLEY_DATA=str(installation.data), PARLEY_EDGE_HOSTS="127.0.0.9")
    assert {path: path.read_bytes() for path in secrets} == secrets
    end(child)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARLEY_SIP_PROT", "5060"),
        ("PARLEY_EDGEPROXY_NO_SUCH", "1"),
        ("PARLEY_WSIGATEWAY_NO_SUCH", "1"),
        ("PARLEY_BACKING_NO_SUCH", "1"),
        ("PARLEY_SIP_PORT", "seventy"),
        ("PARLEY_SIP_PORT", "70000"),
        ("PARLEY_RTP_PORTS", "9-1"),
        ("PARLEY_EDGEPROXY_NONCE_LIFE_S", "-1"),
        ("PARLEY_HOST", "nowhere"),
        ("PARLEY_HOST", "0.0.0.0"),
        ("PARLEY_LOG_LEVEL", "loud"),
    ],
)
def test_settings_that_are_not_understood_are_told(
    installation: Installation, name: str, value: str
) -> None:
    status, text = installation.refused(**{name: value})
    assert status == SETTINGS
    assert_one_sentence(text)
    assert name in text


def test_an_address_of_another_machine_is_told(installation: Installation) -> None:
    status, text = installation.refused(PARLEY_HOST="192.0.2.1")
    assert status == FAILED
    assert_one_sentence(text)
    assert "192.0.2.1" in text


def test_a_folder_that_cannot_be_one_is_told(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    status, text = installation.refused(PARLEY_DATA=str(tmp_path / "file" / "data"))
    assert status == FAILED
    assert_one_sentence(text)
    assert "file" in text


def test_a_database_that_is_none_is_told(installation: Installation) -> None:
    installation.data.mkdir()
    (installation.data / "parley.db").write_bytes(b"this is no database at all" * 100)
    status, text = installation.refused()
    assert status == FAILED
    assert_one_sentence(text)
