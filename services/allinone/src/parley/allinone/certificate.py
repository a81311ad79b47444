"""The self-made TLS certificate of a platform that was given none."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from parley.allinone.private_file import write_private

LIFETIME = timedelta(days=825)
_RENEW_BEFORE = timedelta(days=30)


def ensure_certificate(folder: Path, names: list[str], now: datetime) -> tuple[Path, Path]:
    """Returns the PEM files of a certificate for `names` and of its key.

    They are made at the first start, and again when a file is broken, the key is another one's, or
    the certificate is about to expire or does not cover a name.

    Args:
        folder: private to the platform; made if absent.
        names: DNS names and IP addresses that clients use.
        now: aware wall time.
    """
    certificate, key = folder / "sip.crt", folder / "sip.key"
    if not _serves(certificate, key, names, now):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(certificate, key, names, now)
    return certificate, key


def general_names(names: Sequence[str]) -> list[x509.GeneralName]:
    """Sorts names that clients use into IP addresses and DNS names."""
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _serves(certificate: Path, key: Path, names: list[str], now: datetime) -> bool:
    try:
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
        covered = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
        is_pair = private.public_key() == loaded.public_key()
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    is_fresh = loaded.not_valid_before_utc <= now < loaded.not_valid_after_utc - _RENEW_BEFORE
    return is_pair and is_fresh and set(general_names(names)) <= set(covered)


def _make(certificate: Path, key: Path, names: list[str], now: datetime) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(general_names(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    write_private(
        key,
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    write_private(certificate, signed.public_bytes(serialization.Encoding.PEM))
