"""Digest nonces that need no memory, and the memory that stops their replay.

A nonce is issue time, serial number, maker and a keyed BLAKE2b hash of these and the source it was
given to; that takes a quarter of the time of an HMAC, and each challenge and each answer needs one.
Any instance that shares the secret can tell that one of them gave the nonce to that source, which
proves that the source hears what is sent to it. Credentials are another matter: which nonce counts
were used is known to the maker alone, so a nonce is good there only. A maker is one run of one
instance: after a restart nothing is known either.
"""

import hmac
from binascii import a2b_base64, b2a_base64
from enum import Enum
from hashlib import blake2b

_TIME_BYTES = 6
MAKER_BYTES = 6
_SERIAL_BYTES = 3
_HEAD_BYTES = _TIME_BYTES + MAKER_BYTES + _SERIAL_BYTES
_TIME_CHARS = _TIME_BYTES // 3 * 4
_MAC_BYTES = 15
_NONCE_CHARS = (_HEAD_BYTES + _MAC_BYTES) // 3 * 4
_MIN_SECRET_BYTES = 16
_MAX_SECRET_BYTES = 64  # of a BLAKE2b key
_WINDOW_BITS = 64


class NonceState(Enum):
    """What a nonce that came back is worth."""

    FRESH = "fresh"
    """Ours, and young."""
    ELSEWHERE = "elsewhere"
    """Young, and of another maker with the same secret, or of our former run."""
    STALE = "stale"
    """Given to that source by somebody with the secret, too long ago."""
    INVALID = "invalid"


class NonceFactory:
    """Makes and checks nonces.

    Args:
        secret: 16 to 64 bytes, shared by all instances that check each other's nonces.
        ttl_s: how long a nonce stays fresh, in seconds.
        maker: 6 bytes that no other run of any instance has: random ones.
    """

    def __init__(self, secret: bytes, ttl_s: float, maker: bytes) -> None:
        if len(maker) != MAKER_BYTES:
            raise ValueError(f"maker of nonces has not {MAKER_BYTES} bytes")
        if not _MIN_SECRET_BYTES <= len(secret) <= _MAX_SECRET_BYTES:
            raise ValueError("nonce secret is shorter than 16 bytes or longer than 64")
        self._secret = secret
        self._ttl_ms = int(ttl_s * 1000)
        self._maker = maker
        self._serial = 0

    def make(self, now_wall: float, source: str) -> str:
        """Returns a nonce for one source (its IP address, say); no two are equal.

        Args:
            now_wall: Unix time in seconds; instances must roughly agree on it.
            source: what the nonce is bound to.
        """
        self._serial = (self._serial + 1) % (1 << 8 * _SERIAL_BYTES)
        number = (int(now_wall * 1000) << 8 * _SERIAL_BYTES) + self._serial
        head = number.to_bytes(_TIME_BYTES + _SERIAL_BYTES, "big") + self._maker
        return b2a_base64(head + self._mac(head, source), newline=False).decode("ascii")

    def check(self, nonce: str, now_wall: float, source: str) -> NonceState:
        """Tells whether a nonce is for that source and young enough, and who made it."""
        if len(nonce) != _NONCE_CHARS:
            return NonceState.INVALID
        try:
            raw = a2b_base64(nonce)
        except ValueError:
            return NonceState.INVALID
        head, mac = raw[:_HEAD_BYTES], raw[_HEAD_BYTES:]
        if not hmac.compare_digest(mac, self._mac(head, source)):
            return NonceState.INVALID
        age_ms = int(now_wall * 1000) - int.from_bytes(head[:_TIME_BYTES], "big")
        # A little into the future: another instance's clock.
        if not -self._ttl_ms <= age_ms <= self._ttl_ms:
            return NonceState.STALE
        is_own = head[_TIME_BYTES + _SERIAL_BYTES :] == self._maker
        return NonceState.FRESH if is_own else NonceState.ELSEWHERE

    def _mac(self, head: bytes, source: str) -> bytes:
        message = head + source.encode("utf-8", "surrogateescape")
        return blake2b(message, digest_size=_MAC_BYTES, key=self._secret).digest()


class NonceCounts:
    """Replay windows of the nonces in use (RFC 7616 3.4: nc).

    The oldest are forgotten when there are too many, and from then on no nonce is begun that is not
    younger than they were: it may be one of them.

    Feed it only after the credentials were verified, with nonces that are `FRESH`: then nobody
    without a password fills it.
    """

    def __init__(self, max_nonces: int = 65536) -> None:
        self._max_nonces = max_nonces
        # nonce -> (highest count, bit i set: count `highest - i` was used)
        self._windows: dict[str, tuple[int, int]] = {}
        # When the youngest nonce that was forgotten had been made.
        self._forgotten = b""

    def accept(self, nonce: str, count: int) -> bool:
        """Marks a count as used; False: replayed, too old, or not the first of a new nonce.

        Answer False with a new challenge and stale=true.
        """
        if nonce not in self._windows:
            if count != 1 or (self._forgotten and _made_at(nonce) <= self._forgotten):
                return False
            if len(self._windows) >= self._max_nonces:
                self._forget_oldest()
            self._windows[nonce] = (1, 1)
            return True
        highest, used = self._windows[nonce]
        if count > highest:
            shift = min(count - highest, _WINDOW_BITS)
            used = (used << shift | 1) & ((1 << _WINDOW_BITS) - 1)
            self._windows[nonce] = (count, used)
            return True
        age = highest - count
        if count < 1 or age >= _WINDOW_BITS or used >> age & 1:
            return False
        self._windows[nonce] = (highest, used | 1 << age)
        return True

    def _forget_oldest(self) -> None:
        oldest = next(iter(self._windows))
        del self._windows[oldest]
        self._forgotten = max(self._forgotten, _made_at(oldest))


def _made_at(nonce: str) -> bytes:
    return a2b_base64(nonce[:_TIME_CHARS])
