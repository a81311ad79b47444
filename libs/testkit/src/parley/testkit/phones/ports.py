"""Port numbers for children of a test run.

Blocks are looked for below the usual ephemeral range, from a random place, so that runs side by
side on one machine rarely meet; a block given out once is not given again in this process. Large
blocks (media ports of a platform) have a range of their own, which small ones cannot fragment.
"""

import random
import socket
from collections.abc import Iterator
from itertools import count

_SMALL = range(10_000, 20_000)
_LARGE = range(20_000, 32_000)
_LARGE_SIZE = 64
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
    raise NoFreePorts(f"No {size} consecutive free ports between {_SMALL.start} and {_LARGE.stop}.")


def _places(size: int) -> Iterator[int]:
    """Yields where a block might begin: small ones anywhere, large ones side by side."""
    if size >= _LARGE_SIZE:
        yield from range(_LARGE.start, _LARGE.stop - size, _LARGE_SIZE)
        return
    chooser = random.Random()  # noqa: S311 - spreads test ports, protects nothing
    for _ in range(_TRIES):
        yield chooser.randrange(_SMALL.start, _SMALL.stop - size)


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
