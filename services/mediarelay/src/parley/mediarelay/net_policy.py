"""Where media may be sent: an access list over the addresses that phones write into their SDP.

Whoever calls writes what he likes into `c=`; without this the relay would send to the inside of the
operator's network (server-side request forgery), or to itself in a circle. Refused by default are
addresses that are nobody's phone: loopback (unless the relay is on it too), link-local, "this
network", multicast, reserved and broadcast, and those where clouds tell machines their secrets.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from parley.model.media import Address
from parley.service.settings import PortRange

IpNetwork = IPv4Network | IPv6Network
IpAddress = IPv4Address | IPv6Address

_LOOPBACK: Final = tuple(map(ip_network, ("127.0.0.0/8", "::1/128")))
_NEVER_A_PHONE: Final = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "100.100.100.200/32",  # metadata of Alibaba Cloud
            "168.63.129.16/32",  # metadata and DNS of Azure
            "169.254.0.0/16",  # link-local; 169.254.169.254 is most clouds' metadata
            "192.0.0.0/24",  # RFC 6890; metadata of Oracle Cloud
            "224.0.0.0/4",
            "240.0.0.0/4",
            "fd00:ec2::254/128",  # metadata of AWS
            "fe80::/10",
            "ff00::/8",
        ),
    )
)
_REMEMBERED: Final = 4096


class AddressRefused(Exception):
    """Media cannot, or may not, be sent there; one sentence."""


def parse_networks(texts: Sequence[str]) -> tuple[IpNetwork, ...]:
    """Reads networks in CIDR form, or single addresses.

    Raises:
        ValueError: one is none.
    """
    return tuple(ip_network(text) for text in texts)


class NetPolicy:
    """The access list of one relay."""

    def __init__(
        self,
        host: str,
        ports: PortRange,
        *,
        advertised: str = "",
        allowed: Sequence[str] = (),
        forbidden: Sequence[str] = (),
    ) -> None:
        """Reads the lists.

        Args:
            host: the relay's own address.
            ports: its range: nothing is sent to those at its own addresses.
            advertised: the address that phones are told, if that is another one.
            allowed: networks that are let through whatever else says no.
            forbidden: networks that are refused besides those that always are.

        Raises:
            ValueError: an address or network is none.
        """
        self._host = ip_address(host)
        self._ports = ports
        self._own = {self._host, ip_address(advertised or host)}
        self._allowed = parse_networks(allowed)
        loopback = () if self._host.is_loopback else _LOOPBACK
        self._forbidden = (*loopback, *_NEVER_A_PHONE, *parse_networks(forbidden))
        self._judge = lru_cache(_REMEMBERED)(self._judge_ip)

    def check(self, address: Address) -> None:
        """Judges where a phone wants its media.

        The unspecified address is let through: nothing is sent there (the hold of RFC 2543).

        Raises:
            AddressRefused: it cannot have it there.
        """
        if not 0 < address.port < 65536:
            raise AddressRefused(f"{address.port} is not a port")
        problem, is_own = self._judge(address.ip)
        if problem:
            raise AddressRefused(problem)
        if is_own and self._ports.first <= address.port <= self._ports.last:
            raise AddressRefused(f"{address.ip}:{address.port} is the relay's own")

    def _judge_ip(self, text: str) -> tuple[str, bool]:
        """What is wrong with an IP, if anything, and whether it is one of the relay's."""
        try:
            ip = ip_address(text)
        except ValueError:
            return f"{text[:50]!r} is not an IP address", False
        if ip.version != self._host.version or getattr(ip, "scope_id", None):
            return f"{ip} cannot be reached from {self._host}", False
        if ip.is_unspecified or any(ip in network for network in self._allowed):
            return "", ip in self._own
        mapped = getattr(ip, "ipv4_mapped", None)
        if any(each in network for each in (ip, mapped) if each for network in self._forbidden):
            return f"media may not be sent to {ip}", False
        return "", ip in self._own
