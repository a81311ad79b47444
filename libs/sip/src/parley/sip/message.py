"""SIP requests and responses (RFC 3261 7), and how datagrams become them."""

from parley.sipcore import (
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    Message,
    ParseError,
    Request,
    Response,
    parse_message,
    response_to,
    salvage,
)

__all__ = [
    "MAX_HEADERS",
    "MAX_HEADER_BYTES",
    "Message",
    "ParseError",
    "Request",
    "Response",
    "parse_message",
    "response_to",
    "salvage",
]
