"""Where extensions were last seen, for calls that come while shared state is away.

Two sources: what state said when a call asked for an extension, and the registration events that
edges publish. So a call manager knows every phone that registered or refreshed since it started,
and those that were called through it.
"""

from typing import Final

from parley.backing.state.bindings import decode_bindings, encode_bindings
from parley.model.registration import Binding

MAX_EXTENSIONS: Final = 50_000


class BindingsCache:
    """Bindings by AOR without its scheme, those heard of longest ago dropped; 20 MB when full.

    An extension may be called where it was while news of it are under way.
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

    def add(self, aor: str, data: bytes | None) -> list[Binding]:
        """Remembers what state said, which may lack bindings that it had; returns all there are."""
        found = decode_bindings(data)
        identities = {one.identity for one in found}
        known = decode_bindings(self._seen.get(aor))
        bindings = found + [one for one in known if one.identity not in identities]
        self.keep(aor, encode_bindings(bindings))
        return bindings

    def get(self, aor: str) -> bytes | None:
        """What was heard last, as state keeps it; None when nothing was heard lately."""
        return self._seen.get(aor)

    def note_bound(self, binding: Binding) -> None:
        """A phone registered, or refreshed; news older than what is known change nothing."""
        known = self._known(binding)
        others = [one for one in known if one.identity != binding.identity]
        same = [one for one in known if one.identity == binding.identity]
        newest = max([*same, binding], key=_expiry)
        self.keep(_aor(binding), encode_bindings([*others, newest]))

    def note_gone(self, binding: Binding) -> None:
        """A binding was removed or ran out; one that was made after it stays."""
        known = self._known(binding)
        left = [
            one
            for one in known
            if one.identity != binding.identity or one.expires_at > binding.expires_at
        ]
        if len(left) < len(known):
            self.keep(_aor(binding), encode_bindings(left))

    def _known(self, binding: Binding) -> list[Binding]:
        return decode_bindings(self._seen.get(_aor(binding)))


def _aor(binding: Binding) -> str:
    return binding.aor.partition(":")[2]


def _expiry(binding: Binding) -> float:
    return binding.expires_at
