"""Records as they stand in a journal's file: length, CRC-32, payload.

A record that is not sound hides only itself: reading goes on with the next one that is, found by
the length of the damaged one or, where that is what was damaged, by trying every offset behind it.
"""

import struct
import zlib
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

MAGIC: Final = b"PRLYJNL1"
"""How a file begins."""
_HEADER: Final = struct.Struct("<II")
_MAX_RECORD_BYTES: Final = 1 << 28
SEARCH_BYTES: Final = 2 * 1024 * 1024
"""How far behind damage a sound record is looked for."""
_MAX_CHECKED_BYTES: Final = 256 * 1024 * 1024


class Reading(NamedTuple):
    """What a file held.

    Attributes:
        end: offset behind the last sound record.
        records: number of sound ones.
        damaged_bytes: what lies between them and is none.
    """

    end: int
    records: int
    damaged_bytes: int


def encode_records(payloads: Iterable[bytes]) -> bytes:
    """Frames payloads, none of which is empty."""
    parts: list[bytes] = []
    for payload in payloads:
        parts += (_HEADER.pack(len(payload), zlib.crc32(payload)), payload)
    return b"".join(parts)


def read_records(data: bytes, replay: Callable[[bytes], None]) -> Reading:
    """Replays every sound record behind the file's mark, in order."""
    view = memoryview(data)
    offset = end = len(MAGIC)
    records = damaged_bytes = 0
    while offset < len(data):
        behind = _end_of(view, offset)
        if behind is None:
            sound = _next_sound(view, offset)
            if sound is None:
                break
            damaged_bytes += sound - offset
            offset = sound
            continue
        replay(data[offset + _HEADER.size : behind])
        records += 1
        offset = end = behind
    return Reading(end, records, damaged_bytes)


def _end_of(data: memoryview, offset: int) -> int | None:
    """Where the record ends that begins here; None when none does, or an unsound one.

    An empty one counts for none: a tail of zeros, as a power cut leaves it, would be full of them.
    """
    start = offset + _HEADER.size
    if start > len(data):
        return None
    length, checksum = _HEADER.unpack_from(data, offset)
    end: int = start + length
    if not 0 < length <= _MAX_RECORD_BYTES or end > len(data):
        return None
    return end if zlib.crc32(data[start:end]) == checksum else None


def _next_sound(data: memoryview, offset: int) -> int | None:
    """Where the next sound record begins behind an unsound one."""
    last = min(len(data) - _HEADER.size, offset + SEARCH_BYTES)
    if offset > last:
        return None
    length: int = _HEADER.unpack_from(data, offset)[0]
    likely = offset + _HEADER.size + length
    if _end_of(data, likely) is not None:
        return likely
    left = _MAX_CHECKED_BYTES
    for candidate in range(offset + 1, last + 1):
        length = _HEADER.unpack_from(data, candidate)[0]
        if 0 < length <= len(data) - candidate - _HEADER.size:
            if _end_of(data, candidate) is not None:
                return candidate
            left -= length
            if left < 0:
                break
    return None
