"""The INVITE to the callee: a new request, not the caller's sent on.

From is the caller's name and number at the tenant's domain, also when the phone wrote something
else. Who asks to be hidden, by Privacy (RFC 3323, RFC 3325) or by an anonymous From, is anonymous
to the phone: the INVITE says `Privacy: id`, by which the edge withholds what we assert. A few
headers that mean the same on both legs are passed on, everything else is ours. Max-Forwards counts
down through us and Max-Breadth is shared out (RFC 5393), so that a loop through phones ends.
"""

from functools import lru_cache
from typing import Final

from msgspec import Struct

from parley.callmanager.routing import Target
from parley.callmanager.sip_profile import (
    ALLOW,
    CALL_HEADER,
    DEFAULT_MAX_FORWARDS,
    IDENTITY_HEADER,
    PASSED_HEADERS,
    PRIVACY_HEADER,
    SipProfile,
    hop_of,
    set_body,
)
from parley.sip.errors import RemoteProtocolError
from parley.sip.headers import NameAddr, parse_name_addr
from parley.sip.hop import Hop
from parley.sip.message import Request
from parley.sip.uri import SipUri, TelUri, parse_uri

DEFAULT_MAX_BREADTH: Final = 60
_ANONYMOUS: Final = '"Anonymous" <sip:anonymous@anonymous.invalid>'
_HIDING: Final = frozenset(("id", "user", "header"))
_MAX_NAME_LENGTH: Final = 64
_MAX_PASSED: Final = 8
_MAX_PASSED_LENGTH: Final = 512


class CallIdentity(Struct, frozen=True):
    """Who calls whom, as the callee's phone shall see it.

    Attributes:
        from_: name-addr without a tag.
        asserted: value of P-Asserted-Identity (RFC 3325).
        to: name-addr without a tag.
    """

    from_: str
    asserted: str
    to: str

    @property
    def is_hidden(self) -> bool:
        """The caller is not to be seen."""
        return self.from_ == _ANONYMOUS


def make_identity(
    request: Request, *, caller: str, name: str, callee: str, domain: str
) -> CallIdentity:
    """Names the parties of a call from the caller's INVITE and what the edge asserts."""
    shown = _party(caller, name or _written_name(request, caller), domain)
    asserted = request.get(IDENTITY_HEADER) or shown
    from_ = _ANONYMOUS if _wants_to_be_hidden(request) else shown
    return CallIdentity(from_, asserted, _party(callee, "", domain))


def _wants_to_be_hidden(request: Request) -> bool:
    """By Privacy, or by a From of nobody (RFC 3323 4.1.1.3), in whatever domain."""
    for line in request.get_all(PRIVACY_HEADER):
        if not _HIDING.isdisjoint(part.strip().lower() for part in line.split(";")):
            return True
    try:
        uri = request.from_.uri
    except RemoteProtocolError:
        return False
    if isinstance(uri, TelUri):
        return False
    return uri.host.endswith(".invalid") or (uri.user or "").lower() == "anonymous"


def breadth_of(request: Request) -> int:
    """How many branches an INVITE may still have in parallel (RFC 5393 5.3.2)."""
    text = request.get("max-breadth")
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 6):
        return DEFAULT_MAX_BREADTH
    return int(text)


class InviteTemplate:
    """Makes the INVITEs of all branches of one call.

    Attributes:
        breadth: what each branch may still fork (RFC 5393).
    """

    __slots__ = ("_call_id", "_identity", "_max_forwards", "_passed", "_profile", "breadth")

    def __init__(
        self, original: Request, identity: CallIdentity, profile: SipProfile, branches: int
    ) -> None:
        self._call_id = profile.call_id
        given = original.max_forwards
        self._max_forwards = DEFAULT_MAX_FORWARDS if given is None else max(given - 1, 0)
        self.breadth = max(1, breadth_of(original) // max(1, branches))
        self._identity = identity
        passed = original.pairs(PASSED_HEADERS)
        self._passed = [pair for pair in passed if len(pair[1]) <= _MAX_PASSED_LENGTH]
        del self._passed[_MAX_PASSED:]
        self._profile = profile

    def build(self, target: Target, sip_call_id: str, tag: str, body: bytes) -> Request:
        """Makes the INVITE for one phone.

        Raises:
            LocalProtocolError: the contact that the phone registered cannot be a Request-URI.
        """
        request = Request("INVITE", target.contact)
        for route in target.route:
            request.add("route", route)
        request.add("max-forwards", str(self._max_forwards))
        if self.breadth < DEFAULT_MAX_BREADTH:
            request.add("max-breadth", str(self.breadth))
        request.add("from", f"{self._identity.from_};tag={tag}")
        request.add("to", self._identity.to)
        request.add("call-id", sip_call_id)
        request.add("cseq", "1 INVITE")
        request.add("contact", self._profile.contact)
        request.add(IDENTITY_HEADER, self._identity.asserted)
        # For the edge's Record-Route token; it strips the header at the border.
        request.add(CALL_HEADER, self._call_id)
        request.add("allow", ALLOW)
        request.add("user-agent", self._profile.product)
        if self._identity.is_hidden:
            request.add(PRIVACY_HEADER, "id")
        for name, value in self._passed:
            request.add(name, value)
        set_body(request, body)
        return request


def next_hop(target: Target) -> Hop:
    """Where the INVITE to a phone goes: the topmost Route, or the contact without one.

    Raises:
        RemoteProtocolError: what was registered names no neighbour.
    """
    if target.route:
        return hop_of(parse_name_addr(target.route[0]).uri)
    return hop_of(_contact_uri(target.contact))


@lru_cache(maxsize=4096)
def _party(number: str, name: str, domain: str) -> str:
    return str(NameAddr(SipUri("sip", number, domain), name))


def _contact_uri(text: str) -> SipUri | TelUri:
    return parse_name_addr(text).uri if "<" in text else parse_uri(text)


def _written_name(request: Request, number: str) -> str:
    """The name that the phone writes, unless it passes itself off as a number or an address."""
    name = request.from_.display_name
    # A name that cannot go out quoted as it is (control characters) is not worth a failed call.
    if not name.isprintable() or len(name) > _MAX_NAME_LENGTH or "@" in name:
        return ""
    return name if name == number or any(map(str.isalpha, name)) else ""
