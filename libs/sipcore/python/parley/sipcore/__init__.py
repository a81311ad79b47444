"""SIP text: cut out of datagrams and streams, parsed, edited and written, in Rust.

Sans I/O, clocks and policy. A header line that nobody touches leaves byte for byte as it came; what
every server needs of a message is checked while it is parsed, everything else when it is asked for.
"""

from parley.sipcore._core import (
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    AuthParams,
    Credentials,
    CSeq,
    Limits,
    Message,
    NameAddr,
    Request,
    Response,
    SipUri,
    StreamFramer,
    TelUri,
    Via,
    is_token,
    parse_auth_params,
    parse_credentials,
    parse_message,
    parse_name_addr,
    parse_params,
    parse_uri,
    parse_via,
    response_to,
    salvage,
    unquote,
)
from parley.sipcore.errors import (
    FramingError,
    LocalProtocolError,
    ParseError,
    ProtocolError,
    RemoteProtocolError,
)
from parley.sipcore.hop import Hop
from parley.sipcore.keep_alive import KeepAlive

__all__ = [
    "MAX_HEADERS",
    "MAX_HEADER_BYTES",
    "AuthParams",
    "CSeq",
    "Credentials",
    "FramingError",
    "Hop",
    "KeepAlive",
    "Limits",
    "LocalProtocolError",
    "Message",
    "NameAddr",
    "ParseError",
    "ProtocolError",
    "RemoteProtocolError",
    "Request",
    "Response",
    "SipUri",
    "StreamFramer",
    "TelUri",
    "Via",
    "is_token",
    "parse_auth_params",
    "parse_credentials",
    "parse_message",
    "parse_name_addr",
    "parse_params",
    "parse_uri",
    "parse_via",
    "response_to",
    "salvage",
    "unquote",
]
