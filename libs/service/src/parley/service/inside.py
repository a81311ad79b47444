"""Trust between the services of a platform: how each proves itself to the others.

With TLS both ends of every inside connection show a certificate of the platform's own CA whose DNS
names say which service it is. Without it the side that connects shows a signed token once. Services
that listen on loopback alone may do without either.
"""

import ssl
from collections.abc import Collection
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Self

import structlog
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from parley.service.clock import Clock
from parley.service.errors import StartError
from parley.service.settings import Settings
from parley.service.tls import (
    Followed,
    Pem,
    TlsFiles,
    client_context,
    dns_names,
    read_pem,
    server_context,
)
from parley.service.tokens import TokenSigner

MIN_SECRET_CHARS: Final = 16

_logger = structlog.stdlib.get_logger(__name__)


class InsideSettings(Settings):
    """How services prove themselves to each other; the same for all services of a platform.

    Attributes:
        tls_certificate: PEM file with this service's certificate and its chain. Its DNS names say
            which service it is: `callmanager.parley.internal`, `edgeproxy.parley.internal`,
            `mediarelay.parley.internal`.
        tls_key: PEM file with its key.
        tls_ca: PEM file with the authorities that sign the platform's certificates, no others. The
            three are read again when they change.
        domain: ends the names in the certificates.
        secret: signs the token that opens each inside connection where there is no TLS.
        other_secret: taken as well, while the secret is being changed.
        plain: services may listen beyond loopback without TLS; needs a secret.
    """

    model_config = SettingsConfigDict(env_prefix="PARLEY_INSIDE_")

    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None
    domain: str = Field("parley.internal", pattern=r"^[a-z0-9.-]{1,200}$")
    secret: SecretStr = SecretStr("")
    other_secret: SecretStr = SecretStr("")
    plain: bool = False

    @property
    def is_tls(self) -> bool:
        """Whether inside connections are TLS."""
        return self.tls_certificate is not None

    @model_validator(mode="after")
    def _check(self) -> Self:
        files = (self.tls_certificate, self.tls_key, self.tls_ca)
        if len({path is None for path in files}) > 1:
            raise ValueError(
                "PARLEY_INSIDE_TLS_CERTIFICATE, PARLEY_INSIDE_TLS_KEY and PARLEY_INSIDE_TLS_CA "
                "must be set together"
            )
        secrets = [one.get_secret_value() for one in (self.secret, self.other_secret)]
        if self.is_tls and (self.plain or any(secrets)):
            raise ValueError(
                "PARLEY_INSIDE_PLAIN and PARLEY_INSIDE_SECRET are of no use with inside TLS"
            )
        if any(0 < len(secret) < MIN_SECRET_CHARS for secret in secrets):
            raise ValueError(f"an inside secret must have at least {MIN_SECRET_CHARS} characters")
        if not secrets[0] and (self.plain or secrets[1]):
            raise ValueError(
                "PARLEY_INSIDE_PLAIN and PARLEY_INSIDE_OTHER_SECRET need PARLEY_INSIDE_SECRET"
            )
        return self


class Inside:
    """One service's proof, and its judgement of the others'.

    Attributes:
        is_tls: connections are TLS, with certificates on both sides.
        peers: the roles that we have to do with.
        server: context of inside listeners; None without TLS.
        client: context of connections that we open; None without TLS. The host's name is not
            checked by it but the role, by `is_peer`.
    """

    def __init__(
        self, settings: InsideSettings, role: str, peers: Collection[str], clock: Clock
    ) -> None:
        """Reads the files.

        Raises:
            StartError: they cannot be used.
        """
        self.is_tls = settings.is_tls
        self.peers = frozenset(peers)
        self.server: ssl.SSLContext | None = None
        self.client: ssl.SSLContext | None = None
        self._settings = settings
        self._names = frozenset(self.name_of(peer) for peer in peers)
        self._pem: Followed[Pem] | None = None
        self._signer: TokenSigner | None = None
        if settings.is_tls:
            files = TlsFiles(settings.tls_certificate, settings.tls_key, settings.tls_ca)
            self.server = server_context(files)
            self.client = client_context(files, checks_name=False)
            self._pem = Followed(files, read_pem)
        secrets = [one.get_secret_value() for one in (settings.secret, settings.other_secret)]
        if secrets[0]:
            used = [secret.encode() for secret in secrets if secret]
            self._signer = TokenSigner(used, role, clock)

    @property
    def transport(self) -> str:
        """How SIP goes inside: "tls" or "tcp"."""
        return "tls" if self.is_tls else "tcp"

    @property
    def needs_token(self) -> bool:
        """Whether who connects has to show a token first."""
        return self._signer is not None

    def check_hosts(self, what: str, *hosts: str) -> None:
        """Refuses to listen without TLS where others than this machine may connect.

        Args:
            what: names the listener: "The call manager".
            hosts: local addresses, and those that peers are told; empty ones do not count.

        Raises:
            StartError: one is not loopback, and nothing says that this is meant.
        """
        if self.is_tls or self._settings.plain:
            return
        for host in hosts:
            if host and not is_loopback(host):
                raise StartError(
                    f"{what} listens for other services at {host} without TLS: set "
                    "PARLEY_INSIDE_TLS_CERTIFICATE, PARLEY_INSIDE_TLS_KEY and "
                    "PARLEY_INSIDE_TLS_CA, or PARLEY_INSIDE_PLAIN and PARLEY_INSIDE_SECRET."
                )
        if self._signer is None:
            _logger.warning("every program of this machine passes for a service", listener=what)

    def name_of(self, role: str) -> str:
        """The DNS name in the certificates of a service."""
        return f"{role}.{self._settings.domain}"

    def pem(self) -> Pem:
        """Our files as they are now; only with TLS."""
        assert self._pem is not None
        return self._pem.current()

    def is_peer(self, connection: Any) -> bool:
        """Says whether the other end of a TLS connection (`ssl.SSLObject`) is one of our peers.

        A resumed session does not count: nobody has looked at its certificate today.
        """
        if connection is None or connection.session_reused:
            return False
        return self.has_peer_name(dns_names(connection.getpeercert()))

    def has_peer_name(self, names: Collection[str]) -> bool:
        """Says whether one of a certificate's DNS names is a peer's."""
        return not self._names.isdisjoint(names)

    def token(self, purpose: str) -> str:
        """What we show first where there is no TLS; empty when no secret is set."""
        return "" if self._signer is None else self._signer.sign(purpose)

    def takes_token(self, token: str, purpose: str) -> bool:
        """Says whether a token is a peer's."""
        return self._signer is None or self._signer.takes(token, purpose, self.peers)


def is_loopback(host: str) -> bool:
    """Says whether only programs of this machine can reach a host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
