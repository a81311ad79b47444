"""How values and owned records look in Redis: strings with a short head.

    value:   "v" stamp                            rest...
    record:  "o" epoch size owner stamp has_value rest...

`stamp` is 10 bytes: microseconds and the writer's number; together they are the version. `epoch`
has 8 bytes, `size` one, `has_value` is "0" or "1"; numbers are big-endian. A record's beginning, up
to its owner, is what fencing compares.

Versions come from the writer, not from a counter in Redis: a counter would have to outlive its key.
A writer never uses a microsecond twice, and its number keeps it apart from the others, so that a
version is never used again, even after the key was deleted. While a value lives its versions grow:
a writer whose clock is behind takes one higher than that which it replaces.
"""

import math
import struct

from parley.backing.errors import WrongKind
from parley.backing.state.base import ENDED_EPOCH, Owned, Versioned

WRITER_BITS = 12
HEAD = 11
_STAMP = struct.Struct(">QH")
_STAMP_SIZE = _STAMP.size
_EPOCH = struct.Struct(">Q")
_MAX_VERSION = 1 << 63
_MAX_EPOCH = 1 << 53
_MAX_TTL_MS = 10**14
_FOREIGN = "the key holds a value of another program"


def stamp(version: int) -> bytes:
    """Encodes a version."""
    return _STAMP.pack(version >> WRITER_BITS, version & ((1 << WRITER_BITS) - 1))


def value_head(version: int) -> bytes:
    """Returns how a value of this version begins; what no value begins with if there is none."""
    return b"v" + stamp(version) if 0 < version < _MAX_VERSION else b"-"


def owner_part(owner: str) -> bytes:
    """Encodes an owner, which has at most 255 bytes."""
    name = owner.encode()
    return bytes((len(name),)) + name


def record_prefix(owner: str, epoch: int) -> bytes:
    """Returns how every record of this owner and epoch begins; empty if there can be none."""
    name = owner.encode()
    if not 0 < len(name) < 256 or not 0 < epoch < _MAX_EPOCH:
        return b""
    return b"o" + _EPOCH.pack(epoch) + bytes((len(name),)) + name


def record(prefix: bytes, version: int, value: bytes) -> bytes:
    """Encodes a record."""
    return b"".join((prefix, stamp(version), b"1", value))


def ended(owner: str, version: int) -> bytes:
    """Encodes the mark of a record that this owner ended."""
    return b"".join((record_prefix(owner, ENDED_EPOCH), stamp(version), b"0"))


def value_of(blob: bytes | None) -> bytes | None:
    """Returns the value of a stored string; None for a record that has none yet."""
    if blob is None:
        return None
    kind = blob[:1]
    if kind == b"v" and len(blob) >= HEAD:
        return blob[HEAD:]
    place = _rest(blob)
    return blob[place + 1 :] if blob[place : place + 1] == b"1" else None


def versioned(blob: bytes | None) -> Versioned | None:
    """Returns the value of a stored string with its version."""
    value = value_of(blob)
    if blob is None or value is None:
        return None
    end = HEAD if blob[:1] == b"v" else _rest(blob)
    time, writer = _STAMP.unpack_from(blob, end - _STAMP_SIZE)
    return Versioned(value, time << WRITER_BITS | writer)


def owned(head: bytes) -> Owned | None:
    """Returns the owner of a stored string, of which the beginning is enough."""
    if head[:1] != b"o" or len(head) < HEAD:
        return None
    return Owned(head[10 : 10 + head[9]].decode(), _EPOCH.unpack_from(head, 1)[0])


def milliseconds(ttl_s: float | None) -> bytes:
    """Encodes a time to live for the scripts: empty for none, 0 for one that is over."""
    if ttl_s is None:
        return b""
    if not ttl_s > 0:
        return b"0"
    return b"%d" % min(_MAX_TTL_MS, math.ceil(min(ttl_s, _MAX_TTL_MS) * 1000))


def _rest(blob: bytes) -> int:
    if blob[:1] != b"o" or len(blob) < HEAD:
        raise WrongKind(_FOREIGN)
    place = 10 + blob[9] + _STAMP_SIZE
    if place >= len(blob):
        raise WrongKind(_FOREIGN)
    return place
