"""Where random text comes from: an argument, so that the core stays deterministic in tests."""

from typing import Protocol


class Ids(Protocol):
    """Source of tags, branches, Call-IDs and the like."""

    def token(self, n_bytes: int = 8) -> str:
        """Returns `n_bytes` of randomness as lower-case text safe in URLs and SIP tokens."""
        ...
