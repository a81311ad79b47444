"""Bytes that have arrived at a halted process and were not read: how far a message has come."""

import asyncio
import time
from pathlib import Path
from typing import Final

_TABLE: Final = Path("/proc/net/tcp")
_LISTEN: Final = "0A"
_POLL_S: Final = 0.01


def unread_bytes(port: int) -> int:
    """What lies in the receive queues of a local TCP port (IPv4), closed peers included."""
    total = 0
    for line in _TABLE.read_text().splitlines()[1:]:
        _, local, _, state, queues, *_ = line.split()
        if state != _LISTEN and int(local.rpartition(":")[2], 16) == port:
            total += int(queues.rpartition(":")[2], 16)
    return total


async def has_arrived(port: int, count: int, timeout_s: float) -> bool:
    """Waits until so many bytes are unread; False when they are not in time."""
    until = time.perf_counter() + timeout_s
    while unread_bytes(port) < count:
        if time.perf_counter() > until:
            return False
        await asyncio.sleep(_POLL_S)
    return True
