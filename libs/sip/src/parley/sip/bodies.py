"""Message bodies and the parts of multipart ones (RFC 2046 5.1, RFC 3261 20.11, RFC 5621).

A body is cut, never decoded. The number of parts and the size of their headers are bounded; how
deep parts of parts are followed is the caller's business.
"""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from parley.sip.errors import RemoteProtocolError
from parley.sip.headers import Params, is_token, parse_params, unquote
from parley.sip.message import Message

MAX_PARTS: Final = 16
MAX_PART_HEADER_BYTES: Final = 4096
MAX_BOUNDARY_LENGTH: Final = 70
"""RFC 2046 5.1.1."""

_SDP_TYPE: Final = "application/sdp"
_UNTYPED_PART: Final = "text/plain"
_NOT_ENCODED: Final = frozenset(("", "identity", "7bit", "8bit", "binary"))
_line_end = re.compile(r"\r?\n(?![ \t])").split
_header_end = re.compile(rb"\r?\n\r?\n").search
_leading_line_end = re.compile(rb"\r?\n").match


class Body(Struct, frozen=True):
    """A body, or a part of one.

    Attributes:
        media_type: in lower case, without parameters; empty when none is written.
        params: of the media type.
        disposition: what it is for: `session`, `render`, ... (RFC 3261 20.11).
        is_required: who does not understand it must refuse the message. That is so unless its
            sender says otherwise; of a part with a Content-ID, which a header refers to (location,
            RFC 6442), only if he says so: who does not know the header misses nothing.
        is_encoded: it is compressed or the like, and `data` is not what its type says.
        data: its bytes.
    """

    media_type: str
    params: Params
    disposition: str
    is_required: bool
    is_encoded: bool
    data: bytes

    @property
    def is_multipart(self) -> bool:
        """It consists of parts."""
        return self.media_type.startswith("multipart/")


def read_body(message: Message) -> Body:
    """Reads what a message says of its body.

    Raises:
        RemoteProtocolError: a header of the body is malformed.
    """
    names = ("content-type", "content-disposition", "content-encoding", "content-id")
    headers = {name: message.get(name) or "" for name in names}
    return _describe(headers, message.body, "")


def split_parts(body: Body) -> list[Body]:
    """Cuts a multipart body into its parts; what stands before and after them is left out.

    Raises:
        RemoteProtocolError: it has no usable boundary, does not end with it, or has too many parts.
    """
    data = body.data
    starts = list(_delimiter(body).finditer(data))
    if not starts or not starts[-1][1]:
        raise RemoteProtocolError("a multipart body does not end with its boundary")
    if len(starts) - 1 > MAX_PARTS:
        raise RemoteProtocolError(f"a multipart body has more than {MAX_PARTS} parts")
    spans = zip(starts, starts[1:], strict=False)
    return [_read_part(data[start.end() : end.start()]) for start, end in spans]


def _delimiter(body: Body) -> re.Pattern[bytes]:
    boundary = unquote(body.params.get("boundary") or "")
    if not 0 < len(boundary) <= MAX_BOUNDARY_LENGTH or not boundary.isascii():
        raise RemoteProtocolError("a multipart body has no usable boundary")
    text = re.escape(boundary.encode())
    # What follows the closing delimiter counts no more, so it is searched for together with it.
    return re.compile(rb"(?:\A|\r?\n)--" + text + rb"(?:(--)(?s:.*)|[ \t]*(?=\r?\n))")


def _read_part(text: bytes) -> Body:
    first = _leading_line_end(text)
    text = text[first.end() :] if first else text
    if (empty := _leading_line_end(text)) is not None:
        return _describe({}, text[empty.end() :], _UNTYPED_PART)
    end = _header_end(text, 0, MAX_PART_HEADER_BYTES)
    if end is None:
        raise RemoteProtocolError("the header of a body part does not end, or is too long")
    headers = _read_header(text[: end.start()])
    return _describe(headers, text[end.end() :], _UNTYPED_PART)


def _read_header(text: bytes) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for line in _line_end(text.decode("utf-8", "surrogateescape")):
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t").lower()
        if not colon or not is_token(name):
            raise RemoteProtocolError("a header line of a body part is malformed")
        headers.setdefault(name, " ".join(value.split()))
    return headers


def _describe(headers: Mapping[str, str], data: bytes, default_type: str) -> Body:
    media_type, params = _read_value(headers.get("content-type") or default_type)
    if media_type and not all(map(is_token, media_type.split("/", 1))):
        raise RemoteProtocolError("a content type is malformed")
    disposition, more = _read_value(headers.get("content-disposition", ""))
    default = "optional" if headers.get("content-id") else "required"
    handling = unquote(more.get("handling") or default).lower()
    encodings = (headers.get("content-encoding", ""), headers.get("content-transfer-encoding", ""))
    return Body(
        media_type,
        params,
        disposition or ("session" if media_type == _SDP_TYPE else "render"),
        handling != "optional",
        any(encoding.lower() not in _NOT_ENCODED for encoding in encodings),
        data,
    )


def _read_value(text: str) -> tuple[str, Params]:
    value, semicolon, rest = text.partition(";")
    return value.strip(" \t").lower(), parse_params(rest) if semicolon else {}
