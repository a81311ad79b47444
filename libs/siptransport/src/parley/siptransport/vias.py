"""What a node writes into the Via of its requests, and how a service's common name is read."""

from collections.abc import Mapping
from typing import Final

from parley.sip.headers import Via
from parley.sip.hop import Hop
from parley.sip.ids import Ids
from parley.siptransport.addresses import bracketed, host_port
from parley.siptransport.transport import Transport

OWN_HOST: Final = "parley-host"
"""Via parameter with the listener's address where sent-by is a service's name."""

OWN_PORT: Final = "parley-port"
"""Via parameter with its port."""


class Vias:
    """The starts of a node's Vias: "SIP/2.0/UDP 127.0.0.1:5060".

    Args:
        transports: the node's, by name.
        ids: for the Via of a node without listener.
        sent_by: a service's name for stream hops; None for the listener's address.
    """

    __slots__ = ("_ids", "_known", "_sent_by", "_transports")

    def __init__(self, transports: Mapping[str, Transport], ids: Ids, sent_by: str | None) -> None:
        self._transports = transports
        self._ids = ids
        self._sent_by = sent_by
        self._known: dict[tuple[str, int], str] = {}

    def via_for(self, hop: Hop) -> str:
        """Returns the start of our Via on the way to a hop."""
        key = (hop.transport, _part(hop) if hop.flow else 0)
        return self._known[key] if key in self._known else self._make(hop)

    def clear(self) -> None:
        """Forgets all; a listener came or went."""
        self._known.clear()

    def _make(self, hop: Hop) -> str:
        name = hop.transport
        transport = self._transports.get(name)
        local = transport.sent_by(hop) if transport is not None else None
        is_named = self._sent_by is not None and name in ("tcp", "tls")
        if local is None and is_named:
            return f"SIP/2.0/{name.upper()} {self._sent_by}"
        if local is None:
            # A client without listener (TLS to a trunk): answers come on the connection.
            return f"SIP/2.0/{name.upper()} {self._ids.token()}.invalid"
        if is_named:
            address = f";{OWN_HOST}={bracketed(local.host)};{OWN_PORT}={local.port}"
            via = f"SIP/2.0/{name.upper()} {self._sent_by}{address}"
        else:
            host = host_port(local.host, local.port) if local.port else local.host
            via = f"SIP/2.0/{name.upper()} {host}"
        self._known[name, _part(hop)] = via
        return via


def _part(hop: Hop) -> int:
    """Tells UDP sockets apart, and connections that peers opened from those that we open."""
    return hop.flow if hop.transport == "udp" or not hop.flow else 1


def listener_of(via: Via) -> tuple[str, int]:
    """Returns host and port that the writer of a Via listens at, named in sent-by or beside it.

    Port 0 stands for none.
    """
    host, port = via.params.get(OWN_HOST), via.params.get(OWN_PORT)
    if host and port and port.isascii() and port.isdigit() and len(port) <= 5:
        return host.strip("[]"), int(port)
    return via.host, via.port or 0
