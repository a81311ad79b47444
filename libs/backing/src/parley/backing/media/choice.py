"""Which relay a new session goes to: power of two choices, relays of our own zone first."""

from collections.abc import Sequence
from typing import Final
from zlib import crc32

from msgspec import Struct

_SECOND_SALT: Final = b"2"


class Candidate(Struct, frozen=True):
    """A relay that takes new sessions.

    Attributes:
        is_listed: discovery names it (always true when relays are named by hand).
        is_near: it is in our zone.
        fill: share of its capacity in use, 0 to 1 and above.
    """

    address: str
    is_listed: bool
    is_near: bool
    fill: float


def ranked(session_id: str, candidates: Sequence[Candidate]) -> list[str]:
    """Addresses in the order in which they shall be asked.

    Two relays of the best group (listed and near, then listed, then the rest) are drawn by hashes
    of the session's id and the emptier of them is first: many call managers that all choose the
    emptiest would all choose the same. Further ones follow, for when the first refuses.
    """
    if not candidates:
        return []
    best = max(map(_group, candidates))
    pool = [one for one in candidates if _group(one) == best]
    key = session_id.encode()
    first = pool[crc32(key) % len(pool)]
    others = [one for one in pool if one is not first]
    if others:
        second = others[crc32(_SECOND_SALT + key) % len(others)]
        if second.fill < first.fill:
            first = second
    rest = [one for one in candidates if one is not first]
    rest.sort(key=lambda one: (-_group(one), one.fill))
    return [first.address, *(one.address for one in rest)]


def _group(candidate: Candidate) -> int:
    return 2 * candidate.is_listed + candidate.is_near
