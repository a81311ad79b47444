"""The Vias of call managers, as phones see them: one line that tells nothing.

A call manager's Via names the call, its epoch and where the instance listens. A phone has to bring
it back and need not read it, so it is sealed into the branch of another Via. As with tokens any
edge can open it, and writes the same one for the same request.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from parley.sip.message import Request, Response
from parley.sip.transaction_key import MAGIC_COOKIE

_HEAD: Final = f"SIP/2.0/TCP hidden.invalid;branch={MAGIC_COOKIE}"


class HiddenVias:
    """Hides and reveals with one secret that all edges share."""

    __slots__ = ("_cipher",)

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESSIV(hmac.digest(secret, b"parley edge vias", "sha256"))

    def hide(self, request: Request) -> None:
        """Replaces all Vias of a request to a phone by one; ours is not among them yet."""
        text = ", ".join(request.get_all("via"))
        sealed = self._cipher.encrypt(text.encode("utf-8", "surrogateescape"), None)
        request.set("via", _HEAD + urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii"))

    def reveal(self, response: Response) -> None:
        """Puts back into a phone's response what `hide` took; ours is the topmost Via still."""
        vias = response.values("via")
        if len(vias) != 2 or not vias[1].startswith(_HEAD):
            return
        sealed = vias[1][len(_HEAD) :]
        try:
            data = urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
            text = self._cipher.decrypt(data, None).decode("utf-8", "surrogateescape")
        except (Base64Error, ValueError, InvalidTag):
            return
        response.set("via", f"{vias[0]}, {text}")
