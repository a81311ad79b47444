"""What tests of an unreliable Redis write."""

from collections.abc import Coroutine
from typing import Any

from parley.backing.state.redis import RedisState


def write(state: RedisState, key: str, value: bytes) -> Coroutine[Any, Any, bool]:
    """The simplest write that may be repeated: a record of one owner, whatever is there of it."""
    return state.restore_owned(key, "cm", 1, value)
