"""What one source of traffic is, for bounds that hold for each of them.

The whole address with IPv4. With IPv6 a network of one customer is a /64 at least (RFC 6177), and
whoever has one can write 2^64 addresses: the bounds hold for all of them together. Not so the
addresses of a NAT64, each of which is an IPv4 address of somebody else.
"""

from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address, IPv6Network
from typing import Final

_PREFIX_BYTES: Final = 8
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""All of IPv4 as a NAT64 writes it (RFC 6052)."""


def source_key(host: str) -> str:
    """Returns what a bound per source counts a host by.

    An IPv4 address, also one written in IPv6 (`::ffff:192.0.2.1`, `64:ff9b::192.0.2.1`), counts by
    itself, an IPv6 address by its /64, what is no address by its name.
    """
    return _key_of_ipv6(host) if ":" in host else host


@lru_cache(maxsize=65536)
def _key_of_ipv6(host: str) -> str:
    try:
        address = IPv6Address(host)
    except AddressValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address in _NAT64:
        # Not as the IPv4 address: what is known of that, or exempt, is not known of this.
        return str(IPv6Address(address.packed))
    prefix = address.packed[:_PREFIX_BYTES]
    return f"{IPv6Address(prefix.ljust(16, bytes(1)))}/64"
