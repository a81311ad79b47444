"""What one REGISTER asks for, read from its headers (RFC 3261 10.2, RFC 5626, RFC 3327).

Everything a phone may write is bounded here, before it is stored and read back by others. A
malformed expiry counts as not given, as RFC 3261 20.10 and 20.19 say; anything else malformed is
a 400.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from parley.edgeproxy.border.requirements import is_secure_enough
from parley.model.ids import InstanceId
from parley.model.registration import DEFAULT_Q
from parley.sip.errors import RemoteProtocolError
from parley.sip.headers import NameAddr
from parley.sip.message import Request
from parley.sip.uri import SipUri

MAX_CONTACTS = 10
MAX_URI_CHARS = 512
MAX_INSTANCE_CHARS = 256
MAX_USER_AGENT_CHARS = 128
MAX_PATHS = 4
MAX_PATH_CHARS = 512
MAX_CALL_ID_CHARS = 256
_MAX_DIGITS: Final = 10


class ContactRequest(Struct, frozen=True):
    """One Contact of a REGISTER.

    Attributes:
        expires_s: None when neither the contact nor the request says.
        instance_id: not of one contact among several, which need bindings of their own.
        reg_id: only where outbound applies to the request, else None.
    """

    uri: str
    expires_s: int | None = None
    q: float = DEFAULT_Q
    instance_id: str | None = None
    reg_id: int | None = None


class RegisterRequest(Struct, frozen=True):
    """What one REGISTER asks for, without its SIP.

    Attributes:
        removes_all: Contact was `*`.
        uses_outbound: RFC 5626 applies, so the response says `Require: outbound`.
    """

    aor: str
    call_id: str
    cseq: int
    source: str
    edge: InstanceId
    contacts: tuple[ContactRequest, ...] = ()
    path: tuple[str, ...] = ()
    user_agent: str = ""
    removes_all: bool = False
    uses_outbound: bool = False


class Refused(Struct, frozen=True):
    """The status to answer, with the headers that explain it."""

    status: int
    reason: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


SIPS_NEEDS_TLS: Final = Refused(403, "SIPS Needs TLS")


def read_register(
    request: Request, values: Sequence[NameAddr], aor: str, edge: InstanceId, own_path: str
) -> RegisterRequest | Refused:
    """Reads what a REGISTER asks for.

    Args:
        request: a REGISTER with valid mandatory headers.
        values: its contacts.
        aor: whose bindings it may change, established by authentication.
        edge: our instance id.
        own_path: the Path value by which the phone is reached through this edge.

    Raises:
        RemoteProtocolError: a header that counts here is malformed.
    """
    source = request.source
    removes_all = bool(values) and values[0].is_wildcard  # it stands alone
    expires_text = request.get("expires")
    expires = None if expires_text is None else _seconds(expires_text)
    if removes_all and expires != 0:
        return Refused(400, "Wildcard Contact Needs Expires 0")
    if len(values) > MAX_CONTACTS:
        return Refused(403, "Too Many Contacts")
    flows = [one for one in values if "reg-id" in one.params]
    outbound = _find_outbound(request, values) if flows else False
    if outbound is None:
        return Refused(439)
    paths = request.values("path") if request.has("path") else []
    if paths and len(paths) > MAX_PATHS:
        return Refused(403, "Too Many Path Values")
    if paths and max(map(len, paths)) > MAX_PATH_CHARS:
        return Refused(403, "Path Too Long")
    if len(request.call_id) > MAX_CALL_ID_CHARS:
        return Refused(403, "Call-ID Too Long")
    contacts: tuple[ContactRequest, ...] = ()
    if not removes_all:
        uris = [request.uri, request.to.uri, *[one.uri for one in values]]
        if not is_secure_enough(uris, source):
            return SIPS_NEEDS_TLS
        is_alone = len(values) == 1
        contacts = tuple([_read_contact(one, expires, outbound, is_alone) for one in values])
    user_agent = request.get("user-agent") or ""
    return RegisterRequest(
        aor=aor,
        call_id=request.call_id,
        cseq=request.cseq.number,
        source=source.host if source is not None else "",
        edge=edge,
        contacts=contacts,
        path=(own_path, *paths),
        user_agent=user_agent[:MAX_USER_AGENT_CHARS],
        removes_all=removes_all,
        uses_outbound=outbound,
    )


def _find_outbound(request: Request, contacts: Sequence[NameAddr]) -> bool | None:
    """Says whether RFC 5626 applies; None when it should but the first hop is not an edge of it."""
    if not any("reg-id" in one.params and "+sip.instance" in one.params for one in contacts):
        return False
    if "outbound" not in {text.lower() for text in request.values("supported")}:
        return False
    if len(contacts) > 1:
        raise RemoteProtocolError("several contacts with reg-id")
    if len(request.values("via")) == 1:
        return True
    # RFC 5626 6: another proxy came first; it must have said in its Path that it keeps flows.
    paths = request.paths
    first_hop = paths[-1].uri if paths else None
    return True if isinstance(first_hop, SipUri) and "ob" in first_hop.params else None


def _read_contact(
    value: NameAddr, default_expires_s: int | None, uses_outbound: bool, is_alone: bool
) -> ContactRequest:
    uri = value.uri
    if not isinstance(uri, SipUri):
        raise RemoteProtocolError("Contact must be a sip or sips URI")
    if len(value.uri_text) > MAX_URI_CHARS:
        raise RemoteProtocolError("Contact is too long")
    params = value.params
    if not params:
        return ContactRequest(value.uri_text, default_expires_s)
    instance_id = value.get_param("+sip.instance")
    if instance_id is not None and not _is_plain_instance(instance_id):
        raise RemoteProtocolError("+sip.instance is malformed")
    if not is_alone:
        instance_id = None
    expires = params.get("expires")
    return ContactRequest(
        value.uri_text,
        default_expires_s if expires is None else _seconds(expires),
        _read_q(params.get("q")),
        instance_id,
        _read_reg_id(params.get("reg-id")) if uses_outbound else None,
    )


def _is_plain_instance(text: str) -> bool:
    return 0 < len(text) <= MAX_INSTANCE_CHARS and text.isprintable() and '"' not in text


def _seconds(text: str) -> int | None:
    # RFC 3261 20.10, 20.19: a malformed value counts as the default.
    return _number(text) if len(text) <= _MAX_DIGITS else None


@lru_cache(maxsize=1024)
def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _read_q(text: str | None) -> float:
    if text is None:
        return DEFAULT_Q
    whole, _, part = text.partition(".")
    digits = whole + part
    is_number = digits.isascii() and digits.isdigit() and whole in ("0", "1") and len(part) <= 3
    q = float(text) if is_number else 2.0
    if q > 1.0:
        raise RemoteProtocolError("q of a Contact must be between 0 and 1")
    return q


def _read_reg_id(text: str | None) -> int:
    # RFC 5626 4.2: 1 to 2**31 - 1.
    number = int(text) if text and text.isascii() and text.isdigit() and len(text) <= 10 else 0
    if not 0 < number < 2**31:
        raise RemoteProtocolError("reg-id must be between 1 and 2147483647")
    return number
