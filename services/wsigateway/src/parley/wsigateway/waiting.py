"""Clients that have not shown a token yet: few, by source and in all, and not for long.

At a bound the one that has waited longest makes room, of the same source first: whoever opens
sockets and says nothing closes his own.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Protocol

from parley.service.sources import source_key


class Closable(Protocol):
    """A connection that can be asked to close."""

    def end(self, code: int | None, reason: str = "") -> None:
        """Asks it to close."""
        ...


class Waiting:
    """The waiting ones, the longest waiting first."""

    def __init__(self, maximum: int, maximum_per_source: int, code: int) -> None:
        """Takes bounds, and the close code of those that make room."""
        self._maximum = maximum
        self._maximum_per_source = maximum_per_source
        self._code = code
        self._sources: dict[Closable, str] = {}
        self._by_source: dict[str, dict[Closable, None]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._sources)

    def __iter__(self) -> Iterator[Closable]:
        return iter(tuple(self._sources))

    def join(self, connection: Closable, host: str) -> None:
        """Adds a connection, in the place of another one if need be."""
        source = source_key(host)
        same_source = self._by_source[source]
        if len(same_source) >= self._maximum_per_source:
            self._give_up(next(iter(same_source)))
        elif len(self) >= self._maximum:
            self._give_up(next(iter(self._sources)))
        self._sources[connection] = source
        self._by_source[source][connection] = None

    def leave(self, connection: Closable) -> None:
        """Removes a connection that authenticated or left; safe to call twice."""
        source = self._sources.pop(connection, None)
        if source is None:
            return
        same_source = self._by_source[source]
        del same_source[connection]
        if not same_source:
            del self._by_source[source]

    def _give_up(self, connection: Closable) -> None:
        self.leave(connection)
        connection.end(self._code, "too many connections wait to authenticate")
