"""The self-made certificate: kept while it serves, made again when it does not."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from parley.allinone.certificate import LIFETIME, ensure_certificate

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = ["demo.localhost", "localhost", "127.0.0.1"]


def content(folder: Path, names: list[str], now: datetime = NOW) -> bytes:
    certificate, key = ensure_certificate(folder, names, now)
    # The pair is one that a server takes.
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    return certificate.read_bytes()


def test_it_is_made_once(tmp_path: Path) -> None:
    assert content(tmp_path, NAMES) == content(tmp_path, NAMES)


def test_it_covers_names_and_addresses(tmp_path: Path) -> None:
    loaded = x509.load_pem_x509_certificate(content(tmp_path, [*NAMES, "::1"]))
    covered = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert covered.get_values_for_type(x509.DNSName) == ["demo.localhost", "localhost"]
    addresses = [str(each) for each in covered.get_values_for_type(x509.IPAddress)]
    assert addresses == ["127.0.0.1", "::1"]


def test_files_and_folder_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    for path in ensure_certificate(folder, NAMES, NOW):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_new_name_renews_it_a_dropped_one_does_not(tmp_path: Path) -> None:
    first = content(tmp_path, NAMES)
    assert content(tmp_path, NAMES[:2]) == first
    assert content(tmp_path, [*NAMES, "127.0.0.2"]) != first


@pytest.mark.parametrize(
    ("later", "is_kept"),
    [
        (LIFETIME - timedelta(days=31), True),
        (LIFETIME - timedelta(days=29), False),
        (LIFETIME + timedelta(days=9), False),
        (-timedelta(days=1), False),
    ],
)
def test_it_is_renewed_a_month_before_its_end_and_when_the_clock_was_wrong(
    tmp_path: Path, later: timedelta, is_kept: bool
) -> None:
    first = content(tmp_path, NAMES)
    assert (content(tmp_path, NAMES, NOW + later) == first) is is_kept


@pytest.mark.parametrize("name", ["sip.crt", "sip.key"])
@pytest.mark.parametrize(
    "damage", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"\xff"]
)
def test_a_broken_file_is_replaced(tmp_path: Path, name: str, damage: bytes) -> None:
    first = content(tmp_path, NAMES)
    (tmp_path / name).write_bytes(damage)
    assert content(tmp_path, NAMES) != first


@pytest.mark.parametrize("name", ["sip.crt", "sip.key"])
def test_a_missing_file_is_replaced(tmp_path: Path, name: str) -> None:
    first = content(tmp_path, NAMES)
    (tmp_path / name).unlink()
    assert content(tmp_path, NAMES) != first


def test_a_key_of_another_certificate_is_replaced(tmp_path: Path) -> None:
    first = content(tmp_path / "one", NAMES)
    content(tmp_path / "other", NAMES)
    (tmp_path / "other" / "sip.key").rename(tmp_path / "one" / "sip.key")
    assert content(tmp_path / "one", NAMES) != first
