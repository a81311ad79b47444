"""STUN binding requests on a SIP port (RFC 5626 4.4.2 and 8, RFC 8489), sans I/O.

Phones behind NAT keep their UDP flow open by them and notice from the answer that it still is the
same one. Only what that takes is here: a binding request is answered with the address it came
from; everything else that looks like STUN is dropped. The answer has at most 44 bytes to a
request of at least 20.
"""

import struct
from ipaddress import ip_address
from typing import Final

_HEADER: Final = struct.Struct("!HHI12s")
_ATTRIBUTE: Final = struct.Struct("!HH")
_MAGIC: Final = 0x2112A442
_COOKIE: Final = struct.pack("!I", _MAGIC)
_MAX_BYTES: Final = 548
"""What a STUN message over UDP may have where the path is not known (RFC 8489 6.1)."""

_BINDING_REQUEST: Final = 0x0001
_BINDING_SUCCESS: Final = 0x0101
_BINDING_ERROR: Final = 0x0111
_ERROR_CODE: Final = 0x0009
_UNKNOWN_ATTRIBUTES: Final = 0x000A
_XOR_MAPPED_ADDRESS: Final = 0x0020
_OPTIONAL: Final = 0x8000
"""From here on attributes may be ignored by who does not know them (14)."""
_IGNORED: Final = frozenset((0x0006, 0x0008, 0x0014, 0x0015, 0x001C, 0x001E))
"""Credentials, which this usage does not ask for (RFC 5626 8)."""
_MAX_UNKNOWN: Final = 2


def is_stun(datagram: bytes) -> bool:
    """Whether a datagram is STUN by its cookie (RFC 8489 6) and cannot be SIP, which is text."""
    return datagram[4:8] == _COOKIE and datagram[0] < 4


def answer_binding(datagram: bytes, host: str, port: int) -> bytes | None:
    """Returns the answer to a binding request; None for everything else.

    Args:
        datagram: as received.
        host: IP address it came from.
        port: its port.
    """
    if not _HEADER.size <= len(datagram) <= _MAX_BYTES:
        return None
    kind, length, magic, transaction = _HEADER.unpack_from(datagram)
    if kind != _BINDING_REQUEST or magic != _MAGIC or _HEADER.size + length != len(datagram):
        return None
    unknown = _unknown_attributes(datagram)
    if unknown is None:
        return None
    if unknown:
        return _unknown_answer(unknown[:_MAX_UNKNOWN], transaction)
    mapped = _xor_address(host, port, transaction)
    if mapped is None:
        return None
    attribute = _ATTRIBUTE.pack(_XOR_MAPPED_ADDRESS, len(mapped)) + mapped
    return _HEADER.pack(_BINDING_SUCCESS, len(attribute), _MAGIC, transaction) + attribute


def _unknown_attributes(datagram: bytes) -> list[int] | None:
    """Lists what must be understood and is not (RFC 8489 6.3.1); None when it is malformed."""
    at, end = _HEADER.size, len(datagram)
    unknown = []
    while at < end:
        if at + _ATTRIBUTE.size > end:
            return None
        kind, length = _ATTRIBUTE.unpack_from(datagram, at)
        at += _ATTRIBUTE.size + (length + 3) // 4 * 4
        if kind < _OPTIONAL and kind not in _IGNORED:
            unknown.append(kind)
    return unknown if at == end else None


def _unknown_answer(unknown: list[int], transaction: bytes) -> bytes:
    code = _ATTRIBUTE.pack(_ERROR_CODE, 4) + bytes((0, 0, 4, 20))
    kinds = struct.pack(f"!{len(unknown)}H", *unknown)
    attributes = code + _ATTRIBUTE.pack(_UNKNOWN_ATTRIBUTES, len(kinds)) + kinds.ljust(4, b"\0")
    return _HEADER.pack(_BINDING_ERROR, len(attributes), _MAGIC, transaction) + attributes


def _xor_address(host: str, port: int, transaction: bytes) -> bytes | None:
    """Encodes an address as in 14.2; None for what is no IP address."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mask = _COOKIE + transaction
    hidden = bytes(a ^ b for a, b in zip(address.packed, mask, strict=False))
    family = 1 if address.version == 4 else 2
    return struct.pack("!xBH", family, port ^ (_MAGIC >> 16)) + hidden
