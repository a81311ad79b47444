"""What a call wants of its media: the desired state of a session at a relay.

A *scene* says where the phones are and who hears whom; the relay finds out what is to be changed.
It travels as MessagePack and is read by the media engine, which refuses what it does not know.
Units are in the names.
"""

from typing import Final

import msgspec
from msgspec import Struct, field

_encoder: Final = msgspec.msgpack.Encoder()


class Address(Struct, frozen=True):
    """An IP address (literal, never a name) and a port."""

    ip: str
    port: int


class SrtpKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A master key of SRTP and its salt, of one direction. It tells nobody what they are.

    Attributes:
        suite: by its name in `a=crypto` (RFC 4568, 6188, 7714).
        key, salt: as long as the suite says.
    """

    suite: str
    key: bytes
    salt: bytes

    def __repr__(self) -> str:
        """No key reaches a log."""
        return f"SrtpKey({self.suite})"


class Sdes(Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of both directions, as descriptions told them. Each is used once.

    Attributes:
        ours: of what the relay sends.
        theirs: of what the phone sends.
    """

    ours: SrtpKey
    theirs: SrtpKey


class Transport(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where a phone is, and from where it may be heard.

    Attributes:
        remote: where RTP goes; None while unknown.
        remote_rtcp: where RTCP goes; None means `remote`'s port + 1 (RFC 3550 11).
        learn_from: IPs a differing source may be learnt from. Empty: only the SDP's address.
        described: grows with each description of its own (offer, answer) that the phone sends: a
            phone that is silent may be learnt from another source then.
        sdes: keys of SRTP; None: RTP. With keys, whoever proves himself by them is the phone.
    """

    remote: Address | None = None
    remote_rtcp: Address | None = None
    learn_from: tuple[str, ...] = ()
    described: int = 0
    sdes: Sdes | None = None


class Stream(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One leg's side of one m-line.

    Attributes:
        index: position of the m-line; streams of the same index hear each other.
        transport: where its phone is.
        active: media is expected from this leg, so that its silence is a time-out.
        clock_rate: RTP clock in Hz, for jitter.
    """

    index: int
    transport: Transport
    active: bool = True
    clock_rate: int = 8000


class Endpoint(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One leg's media."""

    streams: list[Stream] = field(default_factory=list)


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who is heard.

    Attributes:
        id: a leg. One that hears itself gets an echo.
    """

    id: str


class Scene(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The desired state of a session.

    Attributes:
        endpoints: by leg.
        hears: by sink, a leg: whom it hears. Who is not named hears nobody.
        media_timeout_s: silence of a leg that is told; 0: never. It counts once somebody whose
            phone is known hears it, anew from every change.
    """

    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    hears: dict[str, list[Source]] = field(default_factory=dict)
    media_timeout_s: float = 0.0

    def encode(self) -> bytes:
        """MessagePack, as the engine reads it."""
        return _encoder.encode(self)


_decoder: Final = msgspec.msgpack.Decoder(Scene)


def decode_scene(data: bytes) -> Scene:
    """Reads what `Scene.encode` wrote.

    Raises:
        ValueError: it is no scene, or has parts that this version does not know.
    """
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(f"this is no scene: {error}") from error
