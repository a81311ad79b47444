"""Which bytes of a message's body are its session description (RFC 5621, RFC 3261 8.2.3).

Of a multipart body the description alone is used; its other parts (location, ISUP, notes) are
dropped, for no other part of this platform reads them and phones are told a description of ours. A
part that may not be dropped, since its sender demands that it be understood, is refused.
"""

from typing import Final

from parley.callmanager.sip_profile import ACCEPT, SDP_TYPE
from parley.sip.bodies import Body, read_body, split_parts
from parley.sip.errors import RemoteProtocolError
from parley.sip.message import Message

MAX_PARTS: Final = 32
"""Of a body in all, those of parts included."""
MAX_DEPTH: Final = 3
"""Multiparts within multiparts that are followed."""
_SESSION: Final = "session"
_ALTERNATIVE: Final = "multipart/alternative"


class DescriptionRefused(Exception):
    """A body that no session can be made of.

    Attributes:
        status: SIP status that says so.
        headers: that go with it (Accept, Accept-Encoding, Warning).
    """

    def __init__(self, status: int, detail: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers


def session_body(message: Message) -> bytes | None:
    """Finds the session description; None when the message has none.

    Raises:
        DescriptionRefused: 415 for a required body of another type or encoding, 400 for one that
            cannot be read.
    """
    data = message.body
    if not data:
        return None
    is_bare = not message.has("content-encoding") and not message.has("content-disposition")
    if is_bare and message.content_type == SDP_TYPE:
        return data
    try:
        return _Search().session_of(read_body(message), 0)
    except RemoteProtocolError as error:
        raise DescriptionRefused(400, str(error)) from error


class _Search:
    """Looks through one body, and no longer than a body of an honest sender needs."""

    def __init__(self) -> None:
        self._seen = 0

    def session_of(self, body: Body, depth: int) -> bytes | None:
        if body.is_encoded:
            _refuse_if_required(body, ("accept-encoding", "identity"))
            return None
        if body.is_multipart and depth < MAX_DEPTH:
            parts = self._split(body)
            if body.media_type == _ALTERNATIVE:
                return self._best_of(body, parts, depth)
            found = [self.session_of(part, depth + 1) for part in parts]
            return next((each for each in found if each is not None), None)
        if body.media_type == SDP_TYPE and body.disposition == _SESSION:
            return body.data
        _refuse_if_required(body, ("accept", ACCEPT))
        return None

    def _split(self, body: Body) -> list[Body]:
        parts = split_parts(body)
        self._seen += len(parts)
        if self._seen > MAX_PARTS:
            raise RemoteProtocolError(f"a body has more than {MAX_PARTS} parts in all")
        return parts

    def _best_of(self, body: Body, parts: list[Body], depth: int) -> bytes | None:
        """The last alternative that is understood (RFC 2046 5.1.4)."""
        for part in reversed(parts):
            try:
                found = self.session_of(part, depth + 1)
            except DescriptionRefused:
                continue
            if found is not None:
                return found
        _refuse_if_required(body, ("accept", ACCEPT))
        return None


def _refuse_if_required(body: Body, header: tuple[str, str]) -> None:
    if body.is_required:
        kind = body.media_type or "none"
        raise DescriptionRefused(415, f"a body of type {kind} is not taken", (header,))
