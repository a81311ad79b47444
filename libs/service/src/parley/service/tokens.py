"""Short-lived signed tokens: who it is that opens a connection, where TLS does not tell.

A token names its maker's role, the time and its purpose (the address that was dialled), under an
HMAC of the platform's secret. It is taken once, within a minute, by the one it was made for.
"""

import hmac
from collections import OrderedDict
from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Final

from parley.service.clock import Clock
from parley.service.ids import RandomIds

LIFE_S: Final = 60.0
"""How far the clocks of two services may be apart, transport included."""

MAX_TOKEN_BYTES: Final = 200
_NONCE_BYTES: Final = 12


class TokenSigner:
    """Makes and checks tokens.

    Args:
        secrets: the first one signs, all are taken.
        role: ours.
        clock: its wall time.
    """

    def __init__(self, secrets: Sequence[bytes], role: str, clock: Clock) -> None:
        self._secrets = tuple(secrets)
        self._role = role
        self._clock = clock
        self._ids = RandomIds()
        # Only what was signed rightly is kept: strangers cannot fill it.
        self._used: OrderedDict[str, float] = OrderedDict()

    def sign(self, purpose: str) -> str:
        """Returns a token of visible ASCII characters."""
        head = f"{self._role}.{int(self._clock.wall_s())}.{self._ids.token(_NONCE_BYTES)}"
        return f"{head}.{_mac(self._secrets[0], head, purpose)}"

    def takes(self, token: str, purpose: str, roles: Collection[str]) -> bool:
        """Says whether a token is right, of one of the roles, fresh, and was not used before."""
        head, _, mac = token.rpartition(".")
        role, _, rest = head.partition(".")
        time, _, nonce = rest.partition(".")
        if len(token) > MAX_TOKEN_BYTES or not token.isascii() or role not in roles:
            return False
        if not time.isdecimal() or not any(
            hmac.compare_digest(mac, _mac(secret, head, purpose)) for secret in self._secrets
        ):
            return False
        now = self._clock.wall_s()
        if abs(now - int(time)) > LIFE_S or nonce in self._used:
            return False
        self._remember(nonce, now)
        return True

    def _remember(self, nonce: str, now: float) -> None:
        used = self._used
        while used and next(iter(used.values())) < now - 2 * LIFE_S:
            used.popitem(last=False)
        used[nonce] = now


def _mac(secret: bytes, head: str, purpose: str) -> str:
    return hmac.new(secret, f"parley-inside\n{head}\n{purpose}".encode(), sha256).hexdigest()
