"""Rendezvous hashing: everybody who sees the same instances names the same one for a call."""

from collections.abc import Iterable
from hashlib import blake2b


def choose(key: str, instances: Iterable[str]) -> str | None:
    """Returns the instance with the highest random weight for the key; None when there is none.

    When an instance goes, only its own keys move, spread over those that are left.
    """
    return max(instances, key=lambda instance: weight(key, instance), default=None)


def weight(key: str, instance: str) -> bytes:
    """The weight of an instance for a key: 8 bytes, compared as they are."""
    return blake2b(f"{instance}\0{key}".encode(), digest_size=8).digest()
