"""Host names and IP literals (name resolution with a bounded cache; no SRV, no NAPTR yet)."""

import asyncio
import ipaddress
import socket
from collections import OrderedDict

from parley.service.clock import Clock

_MAX_NAMES = 4096
_MAX_LITERALS = 4096
_TTL_S = 60.0


def is_ip(host: str) -> bool:
    """Whether a host is an IP literal (IPv6 without brackets)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_wildcard(host: str) -> bool:
    """Whether a local address means all interfaces."""
    return is_ip(host) and ipaddress.ip_address(host).is_unspecified


def bracketed(host: str) -> str:
    """Writes a host as in a Via or a URI."""
    return f"[{host}]" if ":" in host else host


def host_port(host: str, port: int) -> str:
    """Writes an address as in a Via or a URI."""
    return f"{bracketed(host)}:{port}"


class AddressBook:
    """Remembers the IP address of each host name for a minute.

    Attributes:
        literals: hosts that are addresses themselves, as far as they were asked for lately.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self.literals: set[str] = set()

    def peek(self, host: str) -> str | None:
        """Returns the address of a literal or of a name resolved lately."""
        known = self._known.get(host)
        if known is not None:
            address, expires_at = known
            if expires_at > self._clock.now():
                return address
            del self._known[host]
        if not is_ip(host):
            return None
        if len(self.literals) >= _MAX_LITERALS:
            self.literals.clear()
        self.literals.add(host)
        return host

    async def resolve(self, host: str) -> str:
        """Looks a name up, IPv4 first.

        Raises:
            OSError: there is no such name.
        """
        known = self.peek(host)
        if known is not None:
            return known
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
        found.sort(key=lambda info: info[0] != socket.AF_INET)
        address = str(found[0][4][0])
        self._remember(host, address, self._clock.now() + _TTL_S)
        return address

    def _remember(self, host: str, address: str, expires_at: float) -> None:
        self._known[host] = (address, expires_at)
        if len(self._known) > _MAX_NAMES:
            self._known.popitem(last=False)
