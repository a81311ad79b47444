"""Addresses of instances as discovery tells them."""

from parley.sip.hop import Hop


def hop_at(address: str) -> Hop | None:
    """Reads `transport:host:port`, the host in brackets or not; None when it is none."""
    transport, _, rest = address.partition(":")
    host, _, port = rest.rpartition(":")
    if not transport or not host or not port.isdecimal() or int(port) > 65535:
        return None
    return Hop(transport, host.strip("[]"), int(port))


def address_of(hop: Hop) -> str:
    """Writes a hop for discovery."""
    return f"{hop.transport}:{hop.host}:{hop.port}"
