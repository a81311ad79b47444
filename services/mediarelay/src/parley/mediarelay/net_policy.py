"""Where media may be sent: an access list over the addresses that phones write into their SDP.

Whoever calls writes what he likes into `c=`; without this the relay would send to the inside of the
operator's network (server-side request forgery), or to itself in a circle. Refused by default are
addresses that are nobody's phone: loopback (unless the relay is on it too), link-local, "this
network", multicast, reserved and broadcast, and those where clouds tell machines their secrets.

An operator forbids his own networks besides. Phones behind somebody else's NAT name addresses of
the same private ranges: nothing is sent there, but such a phone is not refused. It gets its media
once it was heard from where its signalling comes from.

A relay on loopback serves the phones of its own machine. They may name any address of the machine,
and have ports between those of the relay.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

from msgspec.structs import replace

from parley.model.scene import Address, Scene, Stream
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
_SENT_FROM_HERE: Final = {4: "127.0.0.1", 6: "::1"}
"""Where a packet to loopback comes from when its socket is bound to no address."""
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
            ports: its range: nothing is sent to those at its own addresses. On loopback phones
                share its address, and the engine refuses those that it holds.
            advertised: the address that phones are told, if that is another one.
            allowed: networks that are let through whatever else says no.
            forbidden: the operator's own networks, besides those that are always refused.

        Raises:
            ValueError: an address or network is none.
        """
        self._host = ip_address(host)
        self._is_on_loopback = self._host.is_loopback
        self._ports = ports
        self._own = {self._host, ip_address(advertised or host)}
        self._allowed = parse_networks(allowed)
        loopback = () if self._is_on_loopback else _LOOPBACK
        self._never = (*loopback, *_NEVER_A_PHONE)
        self._closed = parse_networks(forbidden)
        self._judge = lru_cache(_REMEMBERED)(self._judge_ip)
        self._sources = lru_cache(_REMEMBERED)(self._sources_of)

    def admit(self, scene: Scene) -> Scene:
        """A scene with what may be sent and heard where.

        Raises:
            AddressRefused: a phone cannot have its media where it wants it.
        """
        endpoints = {
            leg: replace(endpoint, streams=list(map(self._admit_stream, endpoint.streams)))
            for leg, endpoint in scene.endpoints.items()
        }
        return replace(scene, endpoints=endpoints)

    def _admit_stream(self, stream: Stream) -> Stream:
        told = stream.transport
        remote, remote_rtcp = (
            None if address is None else self.target(address, told.learn_from)
            for address in (told.remote, told.remote_rtcp)
        )
        sources = self.sources(told.learn_from)
        transport = replace(told, remote=remote, remote_rtcp=remote_rtcp, learn_from=sources)
        return replace(stream, transport=transport)

    def target(self, address: Address, learn_from: Sequence[str] = ()) -> Address | None:
        """Says where to send what a phone wants at an address; None: nowhere until it is heard.

        The unspecified address passes: the engine sends nothing there (the hold of RFC 2543).

        Args:
            address: from the SDP.
            learn_from: IPs that the phone may be heard from.

        Raises:
            AddressRefused: it cannot have it there.
        """
        if not 0 < address.port < 65536:
            raise AddressRefused(f"{address.port} is not a port")
        verdict = self._judge(address.ip)
        if verdict.is_closed and any(source != address.ip for source in self.sources(learn_from)):
            return None
        if verdict.problem:
            raise AddressRefused(verdict.problem)
        if verdict.is_own and self._is_in_range(address.port):
            raise AddressRefused(f"{address.ip}:{address.port} is the relay's own")
        return address

    def sources(self, learn_from: Sequence[str]) -> tuple[str, ...]:
        """Those IPs that are not in a network of the operator's.

        A phone that reaches a relay on loopback is on the same machine. It may have told another
        address of that, but what it sends comes from loopback unless it binds its socket.
        """
        return self._sources(tuple(learn_from))

    def _sources_of(self, learn_from: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(ip for ip in learn_from if not self._judge(ip).is_closed)
        if not self._is_on_loopback or not found:
            return found
        if any(self._judge(ip).is_loopback for ip in found):
            return found
        return (*found, _SENT_FROM_HERE[self._host.version])

    def _is_in_range(self, port: int) -> bool:
        return not self._is_on_loopback and self._ports.first <= port <= self._ports.last

    def _judge_ip(self, text: str) -> "_Verdict":
        try:
            ip = ip_address(text)
        except ValueError:
            return _Verdict(f"{text[:50]!r} is not an IP address")
        if ip.version != self._host.version or getattr(ip, "scope_id", None):
            return _Verdict(f"{ip} cannot be reached from {self._host}")
        if ip.is_unspecified or any(ip in network for network in self._allowed):
            return _Verdict(is_own=ip in self._own, is_loopback=ip.is_loopback)
        same = [each for each in (ip, getattr(ip, "ipv4_mapped", None)) if each]
        if any(each in network for each in same for network in self._never):
            return _Verdict(f"media may not be sent to {ip}")
        if any(each in network for each in same for network in self._closed):
            return _Verdict(f"media may not be sent to {ip}", is_closed=True)
        return _Verdict(is_own=ip in self._own, is_loopback=ip.is_loopback)


class _Verdict(NamedTuple):
    """What is to be said of an IP.

    Attributes:
        problem: why nothing may be sent there; empty if it may.
        is_own: it is one of the relay's.
        is_loopback: it is on loopback, and may be.
        is_closed: it lies in a network that the operator forbids.
    """

    problem: str = ""
    is_own: bool = False
    is_loopback: bool = False
    is_closed: bool = False
