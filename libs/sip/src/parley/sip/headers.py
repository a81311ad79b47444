"""Typed header values; each is parsed from one unfolded value."""

from collections.abc import Mapping

from parley.sipcore import (
    AuthParams,
    Credentials,
    CSeq,
    NameAddr,
    Via,
    ha1,
    is_token,
    parse_auth_params,
    parse_credentials,
    parse_name_addr,
    parse_params,
    parse_via,
    unquote,
)

Params = Mapping[str, str | None]
"""Lower-case names; values as written, None for a flag."""

__all__ = [
    "AuthParams",
    "CSeq",
    "Credentials",
    "NameAddr",
    "Params",
    "Via",
    "ha1",
    "is_token",
    "parse_auth_params",
    "parse_credentials",
    "parse_name_addr",
    "parse_params",
    "parse_via",
    "unquote",
]
