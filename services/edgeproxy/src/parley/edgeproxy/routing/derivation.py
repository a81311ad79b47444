"""What an edge derives instead of drawing: the ids of calls and the branches of its Vias.

Both are keyed hashes of what identifies the request, so that the same request through another
edge with the same secret gets the same: a phone whose edge died sends its INVITE again, another
edge takes it, and it is still the same call; a request that is repeated towards a phone through
another edge with the same public address is a retransmission to the phone. A branch proves in
addition, in the response that brings it back, that one of us forwarded the request which the next
Via names: that lets a response pass whose edge is gone (`strays.py`).
"""

import hmac
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from parley.model.ids import CallId
from parley.sip.headers import Via, parse_via
from parley.sip.message import Request, Response
from parley.sip.transaction_key import MAGIC_COOKIE

_BRANCH_BYTES: Final = 16
_CALL_ID_BYTES: Final = 12
_OF_AN_INVITE: Final = ("ACK", "CANCEL")
_CALL_BRANCH: Final = MAGIC_COOKIE + "-"


class Derivation:
    """Derives with one secret that all edges share."""

    __slots__ = ("_branch_key", "_call_key")

    def __init__(self, secret: bytes) -> None:
        self._branch_key = hmac.digest(secret, b"parley edge branch", "sha256")
        self._call_key = hmac.digest(secret, b"parley edge call id", "sha256")

    def call_id(self, request: Request) -> CallId:
        """Returns our id of the call that a new INVITE makes.

        Credentials name one request among those of a dialog id, for their nonce and count are used
        once; without any the branch does.
        """
        proof = request.get_all("proxy-authorization") or [request.via.branch or ""]
        parts = (request.call_id, request.from_.tag or "", str(request.cseq.number), *proof)
        return CallId(_digest(self._call_key, parts, _CALL_ID_BYTES))

    def branch(self, request: Request) -> str:
        """Returns the branch of our Via on a request as it was received.

        An ACK gets the one of its INVITE: that is what the ACK to a failure needs, and the ACK to
        a 2xx has a branch of its own. So does a CANCEL, which names its INVITE by it (RFC 3261
        9.1).
        """
        method = "INVITE" if request.method in _OF_AN_INVITE else request.method
        return self._branch(request.call_id, request.transaction_key(method))

    def is_own(self, response: Response) -> bool:
        """Says whether the branch of a response's topmost Via was made by us for the next Via."""
        branch = response.via.branch
        vias = response.values("via")
        if branch is None or len(vias) < 2:
            return False
        sender = parse_via(vias[1])
        if sender.branch is None or not sender.branch.startswith(MAGIC_COOKIE):
            return False
        key = (sender.branch, response.cseq.method, sender.host.lower(), sender.port)
        return hmac.compare_digest(branch.encode(), self._branch(response.call_id, key).encode())

    def _branch(self, call_id: str, key: Sequence[object]) -> str:
        return MAGIC_COOKIE + _digest(self._branch_key, (call_id, *map(str, key)), _BRANCH_BYTES)


def call_of(via: Via) -> str:
    """Returns the call that a call manager's Via names, empty when it names none.

    Its branches are `z9hG4bK-<call id>-<epoch>-<key>` (seams, section 9).
    """
    branch = via.branch
    if branch is None or not branch.startswith(_CALL_BRANCH):
        return ""
    parts = branch.removeprefix(_CALL_BRANCH).rsplit("-", 2)
    return parts[0] if len(parts) == 3 else ""


def next_via(response: Response) -> Via | None:
    """Takes our Via from a response and returns the next one; None when nobody is left.

    Raises:
        RemoteProtocolError: a Via is malformed.
    """
    response.remove_first_value("via")
    if not response.has("via"):
        return None
    return response.via


def _digest(key: bytes, parts: Sequence[str], size: int) -> str:
    text = "\0".join(parts).encode("utf-8", "surrogateescape")
    return blake2b(text, digest_size=size, key=key).hexdigest()
