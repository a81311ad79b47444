"""What clients and the gateway say to each other besides events: JSON objects with an `action`."""

from msgspec import Struct
from msgspec.json import Decoder, Encoder


class _Message(Struct, frozen=True, tag_field="action"):
    """Base of all messages."""


class Auth(_Message, frozen=True, tag="auth"):
    """Client: shows its token, when the handshake did not."""

    token: str


class Subscribe(_Message, frozen=True, tag="subscribe"):
    """Client: wants events; `tenant` is for tokens of the platform."""

    topics: list[str]
    tenant: str | None = None


class Unsubscribe(_Message, frozen=True, tag="unsubscribe"):
    """Client: does not want these any more."""

    topics: list[str]
    tenant: str | None = None


class Ping(_Message, frozen=True, tag="ping"):
    """Client: are you there?"""


class Authenticated(_Message, frozen=True, tag="authenticated"):
    """Gateway: the token is good; `tenant` is the only one it sees, None: all."""

    tenant: str | None


class Subscribed(_Message, frozen=True, tag="subscribed"):
    """Gateway: answers subscribe and unsubscribe with what the client now gets of that tenant."""

    topics: list[str]
    tenant: str | None


class Pong(_Message, frozen=True, tag="pong"):
    """Gateway: answers ping."""


class GoingAway(_Message, frozen=True, tag="going-away"):
    """Gateway: this instance will close the connection then; connect again meanwhile."""

    closes_in_s: float


class Error(_Message, frozen=True, tag="error"):
    """Gateway: what was asked for cannot be had; `error` is a stable id, `detail` is for people."""

    error: str
    detail: str


ClientMessage = Auth | Subscribe | Unsubscribe | Ping

_ENCODER = Encoder()
_DECODER: Decoder[ClientMessage] = Decoder(ClientMessage)


def encode_message(message: _Message) -> str:
    """Encodes a message of ours."""
    return _ENCODER.encode(message).decode()


def decode_message(text: str) -> ClientMessage:
    """Decodes a client's message.

    Raises:
        msgspec.DecodeError: it is none.
        UnicodeEncodeError: it is no text.
        RecursionError: it is nested absurdly.
    """
    return _DECODER.decode(text)
