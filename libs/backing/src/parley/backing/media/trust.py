"""How call managers and media relays prove themselves to each other on gRPC.

With inside TLS both show certificates: channels are made anew for each stream, and the server asks
for the files at each handshake, so replaced certificates need no restart. Without, a token in the
stream's metadata proves the call manager to the relay that it dialled (`parley.service.inside`).
"""

from typing import Any, Final

import grpc

from parley.service.inside import Inside
from parley.service.tls import Pem

ROLE: Final = "mediarelay"
_TOKEN_KEY: Final = "parley-token"  # noqa: S105 - the name of a header
_NAMES_KEY: Final = "x509_subject_alternative_name"
_OPTIONS: Final = (
    # An attempt of its own each time, without the memory that channels share.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 1000),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 5000),
    ("grpc.keepalive_timeout_ms", 3000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)


class Dialler:
    """The call manager's side."""

    def __init__(self, inside: Inside | None) -> None:
        """Takes our proof; None for relays that ask for none."""
        self._inside = inside

    def open(self, address: str) -> grpc.aio.Channel:
        """Makes a channel for one stream to a relay at `host:port`."""
        inside = self._inside
        if inside is None or not inside.is_tls:
            return grpc.aio.insecure_channel(address, options=_OPTIONS)
        pem = inside.pem()
        credentials = grpc.ssl_channel_credentials(pem.ca, pem.key, pem.certificate)
        name = ("grpc.ssl_target_name_override", inside.name_of(ROLE))
        return grpc.aio.secure_channel(address, credentials, options=(*_OPTIONS, name))

    def metadata(self, address: str) -> tuple[tuple[str, str], ...]:
        """Returns what a stream to a relay at `host:port` begins with."""
        token = "" if self._inside is None else self._inside.token(_purpose(address))
        return ((_TOKEN_KEY, token),) if token else ()


def listen(server: grpc.aio.Server, address: str, inside: Inside) -> int:
    """Opens a relay's port and returns its number.

    Raises:
        RuntimeError: the address cannot be had.
    """
    if not inside.is_tls:
        return int(server.add_insecure_port(address))
    shown = inside.pem()

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        pem = inside.pem()
        if pem is shown:
            return None
        shown = pem
        return _configuration(pem)

    credentials = grpc.dynamic_ssl_server_credentials(
        _configuration(shown),
        renewed,  # type: ignore[arg-type]  # None: nothing is new
        require_client_authentication=True,
    )
    return int(server.add_secure_port(address, credentials))


def is_proved(context: Any, inside: Inside, address: str) -> bool:
    """Says whether a stream's other end is one of the peers, who dialled us at `address`."""
    if inside.is_tls:
        names = context.auth_context().get(_NAMES_KEY, ())
        return inside.has_peer_name({name.decode("ascii", "replace").lower() for name in names})
    given = dict(context.invocation_metadata() or ()).get(_TOKEN_KEY, "")
    return isinstance(given, str) and inside.takes_token(given, _purpose(address))


def _purpose(address: str) -> str:
    return f"{ROLE} {address.lower()}"


def _configuration(pem: Pem) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pem.key, pem.certificate)], pem.ca)
