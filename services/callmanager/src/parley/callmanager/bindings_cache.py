"""Where extensions were last seen, for calls that come while shared state is away."""

from typing import Final

MAX_EXTENSIONS: Final = 50_000


class BindingsCache:
    """The stored bindings of the extensions asked for last; about 20 MB when full.

    An extension that was never called through this instance is not in it, so a call to it fails
    while state is away; one that moved meanwhile is called where it was.
    """

    __slots__ = ("_limit", "_seen")

    def __init__(self, limit: int = MAX_EXTENSIONS) -> None:
        self._limit = limit
        self._seen: dict[str, bytes] = {}

    def keep(self, aor: str, data: bytes | None) -> None:
        """Remembers what state said; None: there is nothing."""
        seen = self._seen
        seen.pop(aor, None)
        if len(seen) >= self._limit:
            del seen[next(iter(seen))]
        seen[aor] = data or b""

    def get(self, aor: str) -> bytes | None:
        """What state said last; None when it was not asked lately."""
        return self._seen.get(aor)
