"""Ids that count, so that a test can name the next one."""


class CountingIds:
    """Implements `parley.sip.ids.Ids`: "x1", "x2", ... with the prefix given."""

    def __init__(self, prefix: str = "id") -> None:
        self._prefix = prefix
        self._count = 0

    def token(self, n_bytes: int = 8) -> str:
        """Returns the next id; its length says nothing."""
        self._count += 1
        return f"{self._prefix}{self._count}"
