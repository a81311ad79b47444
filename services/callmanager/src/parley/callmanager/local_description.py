"""Our side of the sessions with one leg: the `o=` line it knows and what it was last told."""

from collections.abc import Sequence

from parley.model.media import LocalStream
from parley.sdp import OriginLine, SessionDescription, relayed

UNKNOWN_IP = "0.0.0.0"  # noqa: S104 - the null address of SDP (RFC 3264 5.1), nothing is bound


class LocalDescription:
    """Writes descriptions for one leg; the version grows exactly when the content changes.

    Attributes:
        body: what the leg was told last; empty before the first.
        version: edition of the `o=` line (RFC 3264 8).
    """

    __slots__ = ("body", "session_id", "version")

    def __init__(self, session_id: str, version: int = 0, body: bytes = b"") -> None:
        self.session_id = session_id
        self.version = version
        self.body = body

    def relay(self, sdp: SessionDescription, streams: Sequence[LocalStream]) -> bytes:
        """The other party's offer or answer, its media at the relay, as this leg shall see it."""
        return self._finish(relayed(sdp, streams, self.origin(streams)))

    def write(self, description: SessionDescription) -> bytes:
        """A description made for this leg with `origin`, given the right version."""
        return self._finish(description)

    def origin(self, streams: Sequence[LocalStream]) -> OriginLine:
        """Our `o=` line towards this leg."""
        ip = streams[0].ip if streams else UNKNOWN_IP
        return OriginLine(self.session_id, self.version, ip, "parley")

    def _finish(self, description: SessionDescription) -> bytes:
        body = bytes(description)
        if self.body and body != self.body:
            self.version += 1
            body = bytes(description.with_origin(description.origin.grown()))
        self.body = body
        return body
