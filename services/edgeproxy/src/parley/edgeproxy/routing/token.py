"""Sealed tokens that edges put into Record-Route and Path (seams, section 9).

A token is a capability: it says over which flow a phone is reached, which call a dialog belongs
to and which call manager owned it when the dialog began. Any edge that shares the secret can
verify it, so no edge keeps dialog state. Phones see tokens and learn nothing from them: the bytes
are encrypted and authenticated by AES-SIV (RFC 5297), which needs no nonce, so that every edge
writes the same token for the same thing, and takes 4 us. They are written in base64url, whose
alphabet is legal and case-preserving in the user part of a SIP URI.

Layout: kind (1), transport (1), port (2), flow (8), then host, call id and owner, each with a
length byte; a host that is an IP address without zone is packed. A flow that is a connection needs
no more: its number is never used again, and another edge that is given the token does not find it
and says so.
"""

import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from contextlib import suppress
from enum import IntEnum
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from parley.sip.hop import Hop

_K = TypeVar("_K")
_V = TypeVar("_V")

SEAL_BYTES = 16
MAX_TOKEN_CHARS = 640
CACHE_SIZE = 8192
_TRANSPORTS = ("udp", "tcp", "tls", "ws", "wss", "local")
_CODES = {name: code for code, name in enumerate(_TRANSPORTS)}
_HEAD = struct.Struct("!BBHQ")
# Seal, head and three lengths in base64: any other user part of a URI is mostly shorter, and
# needs no key to be told from a token.
_MIN_CHARS = (SEAL_BYTES + _HEAD.size + 3) * 4 // 3
_PACKED = 0x80
"""Flag in the length byte of the host: what follows is a packed IP address."""


class TokenKind(IntEnum):
    """What a token permits, so that one is never taken for the other."""

    PATH = 1
    """Reaching a registered phone; lives in Path, never shown to a phone."""
    DIALOG = 2
    """Sending within one call; lives in Record-Route."""


class Token(NamedTuple):
    """What a token says.

    Attributes:
        flow: the hop towards the phone.
        call_id: our id of the call; empty in a PATH token.
        owner: instance id of the call manager; empty when unknown.
    """

    kind: TokenKind
    flow: Hop
    call_id: str = ""
    owner: str = ""


class TokenCodec:
    """Writes and verifies tokens; remembers recent ones, for most are used many times.

    Attributes:
        known: tokens that were read or written lately, by their text.

    Raises from `encode`: ValueError, when a part is longer than a token can hold.
    """

    __slots__ = ("_cipher", "_written", "known")

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESSIV(hmac.digest(secret, b"parley edge token", "sha256"))
        self._written: dict[Token, str] = {}
        self.known: dict[str, Token] = {}

    def encode(self, token: Token) -> str:
        """Returns the token as text for the user part of a URI."""
        text = self._written.get(token)
        if text is None:
            sealed = self._cipher.encrypt(_pack(token), None)
            text = urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")
            _remember(self._written, token, text)
            _remember(self.known, text, token)  # it comes back with the answer
        return text

    def decode(self, text: str) -> Token | None:
        """Opens a token; None when we did not write these very characters."""
        token = self.known.get(text)
        if token is None and _MIN_CHARS <= len(text) <= MAX_TOKEN_CHARS:
            token = self._open(text)
            if token is not None:
                _remember(self.known, text, token)
        return token

    def _open(self, text: str) -> Token | None:
        try:
            data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            body = self._cipher.decrypt(data, None)
        except (Base64Error, ValueError, InvalidTag):
            return None
        # Only we seal, so an opened body unpacks; the decoder of base64 is lax about stray bits,
        # and a token has one spelling only, or caches and logs would hold many for one.
        if urlsafe_b64encode(data).rstrip(b"=").decode("ascii") != text:
            return None
        return _unpack(body)


def _remember(cache: dict[_K, _V], key: _K, value: _V) -> None:
    if len(cache) >= CACHE_SIZE:
        del cache[next(iter(cache))]
    cache[key] = value


def _pack(token: Token) -> bytes:
    flow = token.flow
    head = _HEAD.pack(token.kind, _CODES[flow.transport], flow.port, flow.flow)
    texts = _text(token.call_id, 255), _text(token.owner, 255)
    return b"".join((head, _host(flow.host), *texts))


@lru_cache(CACHE_SIZE)
def _host(host: str) -> bytes:
    if "%" not in host:  # a zone would be lost
        with suppress(ValueError):
            packed = ip_address(host).packed
            return bytes((len(packed) | _PACKED,)) + packed
    return _text(host, _PACKED - 1)


def _text(value: str, limit: int) -> bytes:
    data = value.encode()
    if len(data) > limit:
        raise ValueError(f"{value[:32]!r}... is too long for a token")
    return bytes((len(data),)) + data


def _unpack(body: bytes) -> Token:
    kind, transport, port, flow = _HEAD.unpack_from(body)
    at = _HEAD.size
    size = body[at] & ~_PACKED
    raw = body[at + 1 : at + 1 + size]
    host = str(ip_address(raw)) if body[at] & _PACKED else raw.decode()
    at += 1 + size
    end = at + 1 + body[at]
    call_id = body[at + 1 : end].decode()
    owner = body[end + 1 : end + 1 + body[end]].decode()
    hop = Hop(_TRANSPORTS[transport], host, port, flow)
    return Token(TokenKind(kind), hop, call_id, owner)
