"""Rate limit for registration storms: everybody comes at once when another edge has died.

A token bucket over all phones lets through what shared state takes; the rest is told to come
again, each phone at a moment of its own, so that the second wave is no wave. In ordinary times
the bucket is full and costs a subtraction.
"""

from typing import Final
from zlib import crc32

RETRY_MIN_S: Final = 3
RETRY_SPREAD_S: Final = 17


class Avalanche:
    """A token bucket over all phones.

    Args:
        rate: requests a second that are let through for long; 0 means any number.
        burst: how many more at once.
    """

    __slots__ = ("_burst", "_counted_at", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = max(burst, 1.0)
        self._tokens = self._burst
        self._counted_at = 0.0

    def admit(self, now: float) -> bool:
        """Takes one token; False when there is none."""
        tokens = self._tokens
        if tokens < self._burst:
            tokens = min(self._burst, tokens + (now - self._counted_at) * self._rate)
        self._counted_at = now
        if tokens >= 1.0:
            self._tokens = tokens - 1.0
            return True
        self._tokens = tokens if self._rate else 0.0
        return not self._rate


def retry_after(key: str) -> str:
    """Returns the seconds that a phone should wait, another number for each key (Call-ID)."""
    spread = crc32(key.encode("utf-8", "surrogateescape")) % (RETRY_SPREAD_S + 1)
    return str(RETRY_MIN_S + spread)
