"""Errors of SIP: ours (`LocalProtocolError`) and the peer's (`RemoteProtocolError`)."""

from parley.sipcore import (
    FramingError,
    LocalProtocolError,
    ParseError,
    ProtocolError,
    RemoteProtocolError,
)

__all__ = [
    "FramingError",
    "LocalProtocolError",
    "ParseError",
    "ProtocolError",
    "RemoteProtocolError",
]
