"""Typed header values; each is parsed from one unfolded value."""

from collections.abc import Mapping
from typing import Final

from parley.sipcore import (
    AuthParams,
    CSeq,
    NameAddr,
    Via,
    is_token,
    parse_auth_params,
    parse_name_addr,
    parse_number,
    parse_params,
    parse_via,
    quote,
    unquote,
)

MAX_SECONDS: Final = 2**32 - 1
"""RFC 3261 25.1, delta-seconds."""

Params = Mapping[str, str | None]
"""Lower-case names; values as written, None for a flag."""

__all__ = [
    "MAX_SECONDS",
    "AuthParams",
    "CSeq",
    "NameAddr",
    "Params",
    "Via",
    "is_token",
    "parse_auth_params",
    "parse_name_addr",
    "parse_number",
    "parse_params",
    "parse_via",
    "quote",
    "unquote",
]
