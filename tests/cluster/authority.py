"""A certificate authority of a local platform: its services' and servers' certificates."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from parley.allinone.certificate import general_names
from parley.allinone.private_file import write_private
from parley.service.tls import TlsFiles

LIFETIME: Final = timedelta(days=30)
_SLACK: Final = timedelta(days=1)
"""Certificates are valid before they are made, for processes whose clocks are behind."""


class Authority:
    """Signs certificates that prove who a service is.

    Attributes:
        ca: PEM file with its own certificate.
    """

    def __init__(self, folder: Path, now: datetime, name: str = "Parley") -> None:
        """Makes a key, or opens that of an authority which was made in this folder before.

        Args:
            folder: of all files; made if absent.
            now: aware wall time.
            name: of the authority.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._now = now
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.ca = folder / "ca.pem"
        self._key = self._kept(folder / "ca.key") or self._make(folder / "ca.key")

    def _kept(self, path: Path) -> ec.EllipticCurvePrivateKey | None:
        if not path.exists():
            return None
        made = x509.load_pem_x509_certificate(self.ca.read_bytes())
        if made.not_valid_after_utc < self._now + LIFETIME / 2:
            return None
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    def _make(self, path: Path) -> ec.EllipticCurvePrivateKey:
        key = ec.generate_private_key(ec.SECP256R1())
        made = (
            _builder(self._name, self._name, key, self._now, self._now + LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        write_private(self.ca, made.public_bytes(serialization.Encoding.PEM))
        write_private(path, _written(key))
        return key

    def issue(self, file: str, names: Sequence[str], until: datetime | None = None) -> TlsFiles:
        """Makes a key and a certificate, or new ones in the same files.

        Args:
            file: name of the files, without ending.
            names: DNS names and IP addresses.
            until: end of its validity.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, file)])
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        made = (
            _builder(subject, self._name, key, self._now, until or self._now + LIFETIME)
            .add_extension(x509.SubjectAlternativeName(general_names(names)), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        files = TlsFiles(self._folder / f"{file}.crt", self._folder / f"{file}.key", self.ca)
        assert files.certificate is not None and files.key is not None
        write_private(files.key, _written(key))
        write_private(files.certificate, made.public_bytes(serialization.Encoding.PEM))
        return files

    def issue_role(self, role: str, until: datetime | None = None) -> TlsFiles:
        """Makes those of a service: its files are named as the service is."""
        return self.issue(role, [f"{role}.parley.internal"], until)


def _written(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(until)
    )
