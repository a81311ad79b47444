"""Errors of the SIP core: ours (`LocalProtocolError`) and the peer's (`RemoteProtocolError`).

Whatever bytes a peer sends, nothing but `RemoteProtocolError` or one of its subclasses leaves
the parser, the framer and the typed header accessors. Each carries the status that answers it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parley.sip.message import Request


class ProtocolError(Exception):
    """Base of both sides' errors; never raised itself."""


class LocalProtocolError(ProtocolError):
    """Our own code asked for something that must not go on the wire."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something illegal.

    Attributes:
        status: the SIP status that answers it.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ParseError(RemoteProtocolError):
    """A message that cannot be used.

    Attributes:
        status: the SIP status that answers it.
        request: what was read of the request when that is enough to answer it (Via, From, To,
            Call-ID and CSeq are there); None for responses, ACKs and garbage.
    """

    def __init__(self, message: str, status: int = 400, request: Request | None = None) -> None:
        super().__init__(message, status)
        self.request = request


class FramingError(ParseError):
    """An illegal message on a stream.

    Attributes:
        can_continue: the end of the message is known and the framer stands behind it; otherwise
            the stream cannot be cut any more and must be closed.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        request: Request | None = None,
        can_continue: bool = False,
    ) -> None:
        super().__init__(message, status, request)
        self.can_continue = can_continue
