"""Errors of SIP text: ours (`LocalProtocolError`) and the peer's (`RemoteProtocolError`).

Whatever bytes a peer sends, nothing but `RemoteProtocolError` or one of its subclasses leaves
the parser, the framer and the typed header accessors. Each carries the status that answers it.
"""


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
        status: the SIP status that answers it, if it is a request (`salvage`).
        data: it, or its header, as received.
    """

    def __init__(self, message: str, status: int = 400, data: bytes = b"") -> None:
        super().__init__(message, status)
        self.data = data


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
        data: bytes = b"",
        can_continue: bool = False,
    ) -> None:
        super().__init__(message, status, data)
        self.can_continue = can_continue
