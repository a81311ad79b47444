"""What the errors mean that Redis answers with."""

import enum

from parley.backing.errors import BackingError, BackingUnavailable, WrongKind


class Refusal(enum.Enum):
    """What follows from a refusal; in all but the last case nothing was done."""

    NO_SCRIPT = enum.auto()
    NOT_NOW = enum.auto()
    ELSEWHERE = enum.auto()
    FINAL = enum.auto()


_BY_WORD = {
    "NOSCRIPT": Refusal.NO_SCRIPT,
    "READONLY": Refusal.NOT_NOW,
    "LOADING": Refusal.NOT_NOW,
    "MASTERDOWN": Refusal.NOT_NOW,
    "MOVED": Refusal.ELSEWHERE,
    "ASK": Refusal.ELSEWHERE,
    "CLUSTERDOWN": Refusal.ELSEWHERE,
    "TRYAGAIN": Refusal.ELSEWHERE,
}


def refusal_of(text: str) -> Refusal:
    """Returns what follows from an error's text."""
    return _BY_WORD.get(text.partition(" ")[0], Refusal.FINAL)


def error_of(key: bytes, text: str) -> BackingError:
    """Returns what the caller is told."""
    name = key.decode("utf-8", "replace")
    _, is_kind, rest = text.partition("WRONGTYPE ")
    if is_kind:
        return WrongKind(f"{name}: {rest}")
    return BackingUnavailable(f"Redis refused an operation on {name}: {text}")
