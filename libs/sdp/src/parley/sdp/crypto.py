"""Keys of SRTP in a description: SDES, the `a=crypto` attribute (RFC 4568).

Lines that ask for what is not done here (MKI, several keys, a part in the clear) are passed over,
as are suites that are not known: the offerer has others, or gets no media secured this way.
"""

import base64
import binascii
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from parley.sipcore.sdp import SdpError

_MAX_TAG: Final = 999_999_999
"""Nine digits (9.1)."""
_MAX_CRYPTO_CHARACTERS: Final = 512


class Suite(StrEnum):
    """How a stream is encrypted and authenticated (RFC 4568, 6188, 7714)."""

    AES_CM_128_HMAC_SHA1_80 = "AES_CM_128_HMAC_SHA1_80"
    AES_CM_128_HMAC_SHA1_32 = "AES_CM_128_HMAC_SHA1_32"
    AES_256_CM_HMAC_SHA1_80 = "AES_256_CM_HMAC_SHA1_80"
    AES_256_CM_HMAC_SHA1_32 = "AES_256_CM_HMAC_SHA1_32"
    AEAD_AES_128_GCM = "AEAD_AES_128_GCM"
    AEAD_AES_256_GCM = "AEAD_AES_256_GCM"

    @property
    def key_bytes(self) -> int:
        """Length of its master key."""
        return 32 if "256" in self else 16

    @property
    def salt_bytes(self) -> int:
        """Length of its master salt."""
        return 12 if "GCM" in self else 14


class Crypto(Struct, frozen=True):
    """One `a=crypto` line. It shows nobody its key.

    Attributes:
        tag: by which an answer names the line of the offer (4.1).
        key, salt: of whoever wrote the line, for what he sends.
    """

    tag: int
    suite: Suite
    key: bytes
    salt: bytes

    def __repr__(self) -> str:
        """No key reaches a log."""
        return f"Crypto({self.tag}, {self.suite})"

    def write(self) -> str:
        """The value of the attribute."""
        secret = base64.b64encode(self.key + self.salt).decode()
        return f"{self.tag} {self.suite} inline:{secret}"


def parse_crypto(value: str) -> Crypto | None:
    """Reads the value of an attribute; None for one that is legal and not for us.

    Raises:
        SdpError: it is malformed.
    """
    tag, suite_name, secrets, *parameters = _words(value)
    if not (tag.isascii() and tag.isdigit() and int(tag) <= _MAX_TAG):
        raise SdpError("A crypto attribute has no tag.")
    suite = _SUITES.get(suite_name.upper())
    if suite is None or ";" in secrets or not all(map(_is_harmless, parameters)):
        return None
    method, colon, info = secrets.partition(":")
    if not colon:
        raise SdpError("A crypto attribute has no key.")
    secret, *more = info.split("|")
    # A lifetime is no promise of ours: no call lasts 2^48 packets. An MKI would be in each packet.
    if method.lower() != "inline" or any(":" in each for each in more):
        return None
    return Crypto(int(tag), suite, *_secrets(suite, secret))


def choose(lines: Iterable[str]) -> Crypto | None:
    """The first line of an offer, in its writer's order, that can be answered (5.1.2).

    Raises:
        SdpError: a line before it is malformed.
    """
    return next((crypto for line in lines if (crypto := parse_crypto(line))), None)


def answered(offered: Iterable[Crypto], lines: Iterable[str]) -> tuple[Crypto, Crypto] | None:
    """Ours and theirs, as an answer has chosen among what we offered (5.1.3).

    None: it chose nothing.

    Raises:
        SdpError: it is malformed, or chose what was not offered.
    """
    theirs = [crypto for line in lines if (crypto := parse_crypto(line))]
    if not theirs:
        return None
    if len(theirs) > 1:
        raise SdpError("An answer has more than one crypto attribute.")
    (chosen,) = theirs
    for ours in offered:
        if ours.tag == chosen.tag and ours.suite is chosen.suite:
            return ours, chosen
    raise SdpError("An answer has a crypto attribute that was not offered.")


def _words(value: str) -> list[str]:
    words = value.split()
    if len(words) < 3 or len(value) > _MAX_CRYPTO_CHARACTERS:
        raise SdpError("A crypto attribute is not tag, suite and key.")
    return words


def _is_harmless(parameter: str) -> bool:
    """Session parameters change what is sent, but for a hint on the window (6.3.7) and `-` ones."""
    return parameter.startswith(("-", "WSH="))


def _secrets(suite: Suite, secret: str) -> tuple[bytes, bytes]:
    try:
        octets = base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SdpError("The key of a crypto attribute is not base64.") from error
    if len(octets) != suite.key_bytes + suite.salt_bytes:
        raise SdpError("The key of a crypto attribute is too short or too long.")
    return octets[: suite.key_bytes], octets[suite.key_bytes :]


_SUITES: Final = {str(suite): suite for suite in Suite}
