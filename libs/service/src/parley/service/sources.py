"""What one source of traffic is, for bounds that hold for each of them.

The whole address with IPv4. With IPv6 a network of one customer is a /64 at least (RFC 6177), and
whoever has one can write 2^64 addresses: the bounds hold for all of them together.
"""

from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Final

_PREFIX_BYTES: Final = 8


def source_key(host: str) -> str:
    """Returns what a bound per source counts a host by.

    An IPv4 address, also one written in IPv6 (`::ffff:192.0.2.1`), counts by itself, an IPv6
    address by its /64, what is no address by its name.
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
    prefix = address.packed[:_PREFIX_BYTES]
    return f"{IPv6Address(prefix.ljust(16, bytes(1)))}/64"
