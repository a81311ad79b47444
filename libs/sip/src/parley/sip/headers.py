"""Typed header values in one place; each is parsed from one unfolded value."""

import msgspec

from parley.sip.auth_header import AuthParams as AuthParams
from parley.sip.auth_header import parse_auth_params as parse_auth_params
from parley.sip.errors import RemoteProtocolError
from parley.sip.header_names import METHODS, is_token
from parley.sip.name_addr import NameAddr as NameAddr
from parley.sip.name_addr import parse_contact as parse_contact
from parley.sip.name_addr import parse_name_addr as parse_name_addr
from parley.sip.numbers import MAX_CSEQ, parse_number
from parley.sip.via import Via as Via
from parley.sip.via import parse_via as parse_via


class CSeq(msgspec.Struct, frozen=True):
    """Sequence number and method of a request and its responses (RFC 3261 20.16)."""

    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


def parse_cseq(text: str) -> CSeq:
    """Parses a CSeq value; the number is below 2**31 (RFC 3261 8.1.1.5)."""
    number, _, method = text.partition(" ")
    if method not in METHODS:
        number, method = _split_oddly_spaced(text)
    return CSeq(parse_number(number, MAX_CSEQ, "CSeq"), method)


def _split_oddly_spaced(text: str) -> tuple[str, str]:
    number, _, method = text.replace("\t", " ").partition(" ")
    method = method.lstrip(" ")
    if not is_token(method):
        raise RemoteProtocolError("CSeq method is malformed")
    return number, method
