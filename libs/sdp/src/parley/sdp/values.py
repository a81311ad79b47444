"""Typed values inside description lines: origin, connection, direction, codecs, keys.

Every parser takes the text after `x=` or `a=name:` and raises `SdpError` with one sentence.
"""

import ipaddress
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from parley.sdp.errors import SdpError

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)
# 64-bit numbers have at most 20 digits (RFC 8866 5.2 recommends an NTP timestamp).
_MAX_DIGITS = 20
_FIRST_MULTICAST_OCTET = 224


class Direction(StrEnum):
    """Who sends in a stream, seen by the side that wrote the description (RFC 8866 6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        """The writer of the description sends."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """The writer of the description wants to receive."""
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    @property
    def mirrored(self) -> "Direction":
        """The same flow seen from the other side: what an answer says (RFC 3264 6.1)."""
        return _MIRRORED[self]

    @property
    def without_receiving(self) -> "Direction":
        """The same direction for a writer that no longer wants media (RFC 3264 8.4)."""
        return Direction.SENDONLY if self.sends else Direction.INACTIVE


_MIRRORED = {
    Direction.SENDRECV: Direction.SENDRECV,
    Direction.SENDONLY: Direction.RECVONLY,
    Direction.RECVONLY: Direction.SENDONLY,
    Direction.INACTIVE: Direction.INACTIVE,
}


@dataclass(frozen=True, slots=True)
class OriginLine:
    """`o=`: who made the session and which edition of it this is (RFC 8866 5.2)."""

    session_id: str
    version: int
    ip: str
    username: str = "-"
    address_type: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads the value of an `o=` line."""
        fields = text.split()
        if len(fields) != 6:
            raise SdpError("The origin line must have six fields.")
        username, session_id, version, _net_type, address_type, address = fields
        number = parse_number(version, "The origin line's version must be a number.")
        return cls(session_id, number, address, username, address_type)

    def grown(self) -> Self:
        """The origin of a changed description of the same session (RFC 3264 8)."""
        return replace(self, version=self.version + 1)

    def __str__(self) -> str:
        address_type = self.address_type or address_type_of(self.ip)
        return f"{self.username} {self.session_id} {self.version} IN {address_type} {self.ip}"


@dataclass(frozen=True, slots=True)
class Connection:
    """`c=`: where media is wanted (RFC 8866 5.7).

    Attributes:
        address_type: `IP4`, `IP6`, or what another network has.
        address: an IP address, a host name, or what another network has.
        suffix: `/ttl/count` of multicast.
        network_type: `IN`; others are legal (RFC 7195).
    """

    address_type: str
    address: str
    suffix: str = ""
    network_type: str = "IN"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads the value of a `c=` line."""
        fields = text.split()
        if len(fields) != 3:
            raise SdpError("The connection line must have three fields.")
        net_type, address_type, address = fields
        address, slash, rest = address.partition("/")
        return cls(address_type, address, slash + rest, net_type)

    @property
    def is_internet(self) -> bool:
        """An address of the Internet, of either family."""
        return self.network_type == "IN" and self.address_type in ("IP4", "IP6")

    @property
    def is_null(self) -> bool:
        """The unspecified address, the hold sign of RFC 2543."""
        return self.address in ("0.0.0.0", "::")  # noqa: S104 - compared, nothing is bound

    def __str__(self) -> str:
        return f"{self.network_type} {self.address_type} {self.address}{self.suffix}"


@dataclass(frozen=True, slots=True)
class Codec:
    """One RTP payload type with what describes it (`a=rtpmap`, `a=fmtp`)."""

    payload_type: int
    name: str
    clock_rate: int
    channels: int = 1
    fmtp: str = ""


# RFC 3551 table 4 and 5: payload types that need no rtpmap.
STATIC_CODECS = {
    0: Codec(0, "PCMU", 8000),
    3: Codec(3, "GSM", 8000),
    4: Codec(4, "G723", 8000),
    8: Codec(8, "PCMA", 8000),
    9: Codec(9, "G722", 8000),
    13: Codec(13, "CN", 8000),
    15: Codec(15, "G728", 8000),
    18: Codec(18, "G729", 8000),
    26: Codec(26, "JPEG", 90000),
    31: Codec(31, "H261", 90000),
    34: Codec(34, "H263", 90000),
}


def parse_number(text: str, sentence: str) -> int:
    """Reads decimal digits of at most 64 bits; raises `SdpError(sentence)` otherwise."""
    if len(text) > _MAX_DIGITS or not (text.isascii() and text.isdigit()):
        raise SdpError(sentence)
    return int(text)


def parse_port(text: str, sentence: str) -> int:
    """Reads a port, 0 included; raises `SdpError(sentence)` otherwise."""
    number = parse_number(text, sentence)
    if number > 65_535:
        raise SdpError(sentence)
    return number


def is_ip_address(text: str) -> bool:
    """Tells an IP address from a host name."""
    if _IPV4.fullmatch(text):
        return True
    if ":" not in text or "%" in text:
        return False
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def is_host_address(ip: str) -> bool:
    """Tells an address that one host may have from multicast, broadcast and reserved ones."""
    if ":" in ip:
        address = ipaddress.IPv6Address(ip)
        mapped = address.ipv4_mapped
        return not address.is_multicast if mapped is None else is_host_address(str(mapped))
    return 0 < int(ip.partition(".")[0]) < _FIRST_MULTICAST_OCTET


def address_type_of(ip: str) -> str:
    """Returns `IP4` or `IP6` as `o=` and `c=` lines name it."""
    return "IP6" if ":" in ip else "IP4"
