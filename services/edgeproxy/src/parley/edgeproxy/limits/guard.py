"""Rate limits per source: how fast it may send, and how often it may fail to authenticate.

What one source is, `parley.service.sources` says.

Both tables are bounded: when one is full its oldest entry makes room, so a flood from forged
addresses costs memory once and forgives at worst a burst. Addresses of `exempt` networks (the
machine itself, a monitoring network) have no rate limit; nobody is exempt from the limit on
failures, which is what stops password guessing. The address of a datagram may be forged, so who
shows that it is not has a rate limit of its own, and only such failures count.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeVar

from parley.service.sources import source_key

_V = TypeVar("_V")

DEFAULT_TABLE_SIZE = 100_000

Network = IPv4Network | IPv6Network


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Reads networks in CIDR notation; a bare address is a network of one.

    Raises:
        ValueError: a text is neither.
    """
    return tuple(ip_network(text.strip(), strict=False) for text in texts if text.strip())


@lru_cache(maxsize=65536)
def is_inside(host: str, networks: tuple[Network, ...]) -> bool:
    """Says whether an address lies in one of the networks; a name lies in none."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in networks)


class SourceLimiter:
    """A token bucket per source.

    Args:
        rate: requests a second that a source may keep up; 0 means no limit.
        burst: requests that it may send at once.
    """

    __slots__ = ("_buckets", "_burst", "_exempt", "_rate", "_size")

    def __init__(
        self,
        rate: float,
        burst: float,
        exempt: Iterable[Network] = (),
        size: int = DEFAULT_TABLE_SIZE,
    ) -> None:
        self._rate = rate
        self._burst = max(burst, 1.0)
        self._exempt = tuple(exempt)
        self._size = size
        # source -> [tokens, when they were counted], or None for an exempt address
        self._buckets: dict[str, list[float] | None] = {}

    def admit(self, host: str, now: float) -> bool:
        """Takes one token from the source's bucket; False when it is empty."""
        if not self._rate:
            return True
        key = source_key(host)
        if key != host and is_inside(host, self._exempt):
            return True  # whoever shares its network is not exempt with it
        try:
            bucket = self._buckets[key]
        except KeyError:
            self._add(key, now)
            return True
        if bucket is None:
            return True
        tokens = min(self._burst, bucket[0] + (now - bucket[1]) * self._rate)
        bucket[1] = now
        if tokens < 1.0:
            bucket[0] = tokens
            return False
        bucket[0] = tokens - 1.0
        return True

    def _add(self, key: str, now: float) -> None:
        if len(self._buckets) >= self._size:
            del self._buckets[next(iter(self._buckets))]
        is_exempt = is_inside(key, self._exempt)
        self._buckets[key] = None if is_exempt else [self._burst - 1.0, now]


class FailureLimiter:
    """Bans a source that failed to authenticate too often.

    Args:
        limit: failures within `window_s` seconds that lead to a ban; 0 means never.

    Attributes:
        ban_s: seconds a ban lasts.
        bans: until when each source is banned, those whose ban is over included.
    """

    __slots__ = ("_failures", "_limit", "_size", "_window_s", "ban_s", "bans")

    def __init__(
        self, limit: int, window_s: float, ban_s: float, size: int = DEFAULT_TABLE_SIZE
    ) -> None:
        self._limit = limit
        self._window_s = window_s
        self.ban_s = ban_s
        self._size = size
        self._failures: dict[str, tuple[float, int]] = {}
        self.bans: dict[str, float] = {}

    def is_banned(self, host: str, now: float) -> bool:
        """Says whether the source is to be refused without looking at what it sends."""
        until = self.bans.get(host)
        if until is None:
            return False
        if now < until:
            return True
        del self.bans[host]
        return False

    def record_failure(self, host: str, now: float) -> bool:
        """Counts one failure; True when it is the one that brings the ban."""
        if not self._limit:
            return False
        began, count = self._failures.pop(host, (now, 0))
        if now - began >= self._window_s:
            began, count = now, 0
        count += 1
        if count < self._limit:
            _put_bounded(self._failures, host, (began, count), self._size)
            return False
        _put_bounded(self.bans, host, now + self.ban_s, self._size)
        return True


def _put_bounded(table: dict[str, _V], key: str, value: _V, size: int) -> None:
    if len(table) >= size:
        del table[next(iter(table))]
    table[key] = value
