"""Port numbers for children of a test run.

Ports are looked for below the usual ephemeral range; one given out is not given again in this
process. Single ones come from a random place, so that runs side by side on one machine rarely
meet; blocks (media ports) lie side by side in a range of their own, which thus never fragments.
"""

import random
import socket
from collections.abc import Iterator
from itertools import count

_SINGLES = range(10_000, 15_000)
_BLOCKS = range(15_000, 32_000)
_BLOCK_SIZE = 8
_TRIES = 500
_given: set[int] = set()


class NoFreePorts(RuntimeError):
    """No block of free ports was found."""


def reserve_ports(size: int = 1, align: int = 1) -> int:
    """Returns the first of `size` consecutive ports that are free for UDP and TCP everywhere.

    Args:
        size: how many ports.
        align: the first port is a multiple of it (2 for RTP and RTCP pairs).
    """
    for first in _places(size):
        first -= first % align
        block = range(first, first + size)
        if _given.isdisjoint(block) and all(_is_free(port) for port in block):
            _given.update(block)
            return first
    raise NoFreePorts(
        f"No {size} consecutive free ports between {_SINGLES.start} and {_BLOCKS.stop}."
    )


def _places(size: int) -> Iterator[int]:
    """Yields where a block might begin: single ports anywhere, blocks side by side."""
    if size >= _BLOCK_SIZE:
        yield from range(_BLOCKS.start, _BLOCKS.stop - size, 4)
        return
    chooser = random.Random()  # noqa: S311 - spreads test ports, protects nothing
    for _ in range(_TRIES):
        yield chooser.randrange(_SINGLES.start, _SINGLES.stop - size)


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                return False
    return True


_serials = count(1)


def serial() -> int:
    """A number never given before in this process, for unique names of files."""
    return next(_serials)
