"""What may cross between phones, this platform and back, header by header.

Outsiders may not set what only Parley sets (seams, section 9), nor identities and diversions that
others would believe (RFC 3325 5: a proxy removes P-Asserted-Identity from whom it does not
trust). Headers are removed by the parsed name, after compact forms, case and blanks before the
colon have been made one, so no spelling slips past. In the other direction nothing internal
reaches a phone.
"""

from functools import lru_cache
from typing import Final

from parley.sip.hop import Hop
from parley.sip.message import Message, Request

CALL_HEADER: Final = "x-parley-call"
TENANT_HEADER: Final = "x-parley-tenant"
SOURCE_HEADER: Final = "x-parley-source"
FLOW_HEADER: Final = "x-parley-flow"
ROUTE_HEADER: Final = "x-parley-route"
OWNER_HEADER: Final = "x-parley-owner"
UNREACHABLE_HEADER: Final = "x-parley-unreachable"
UNKNOWN_HEADER: Final = "x-parley-unknown"
REPEATED_HEADER: Final = "x-parley-repeated"
IDENTITY_HEADER: Final = "p-asserted-identity"
INTERNAL_PREFIX: Final = "x-parley-"

FOREIGN_HEADERS: Final = frozenset(
    {
        "p-asserted-identity",
        "p-preferred-identity",
        "remote-party-id",
        "diversion",
        "history-info",
        "identity",
        "identity-info",
        "p-access-network-info",
        "p-asserted-service",
        "p-called-party-id",
        "p-charging-function-addresses",
        "p-charging-vector",
        "p-visited-network-id",
        "resource-priority",
        "x-push",
    }
)
"""Believed inside when they are there, hence taken from outsiders."""

_HIDDEN_BY_PRIVACY: Final = ("p-asserted-identity", "remote-party-id", "diversion", "history-info")
_CREDENTIALS: Final = ("authorization", "proxy-authorization")


def strip_foreign(message: Message) -> None:
    """Takes from an outsider's request or response what only we may say."""
    for name in _foreign_among(tuple(message.header_names())):
        message.remove(name)


def strip_internal(message: Message) -> None:
    """Takes what is ours from a message to a phone; hides who asked for privacy (RFC 3325 7)."""
    for name in _internal_among(tuple(message.header_names())):
        message.remove(name)
    if message.has("privacy") and wants_privacy(message):
        for name in _HIDDEN_BY_PRIVACY:
            message.remove(name)


# A phone sends the same names in the same order all day, so the answers are cached.
@lru_cache(maxsize=256)
def _internal_among(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple({name for name in names if name.startswith(INTERNAL_PREFIX)})


@lru_cache(maxsize=256)
def _foreign_among(names: tuple[str, ...]) -> tuple[str, ...]:
    return (*FOREIGN_HEADERS.intersection(names), *_internal_among(names))


def wants_privacy(message: Message) -> bool:
    """Says whether the asserted identity must not leave the platform (RFC 3323 4.2, RFC 3325 7)."""
    values = {
        part.strip().lower() for line in message.get_all("privacy") for part in line.split(";")
    }
    return "id" in values


def assert_call(request: Request, call_id: str, source: Hop, tenant: str, identity: str) -> None:
    """Writes into a new call's INVITE what the call manager may rely on.

    Args:
        request: already stripped of what the phone claimed.
        call_id: our id of the call.
        source: the phone signals from there.
        tenant: tenant id.
        identity: the caller as a name-addr.
    """
    request.add(CALL_HEADER, call_id)
    request.add(TENANT_HEADER, tenant)
    request.add(SOURCE_HEADER, source.host)
    request.add(FLOW_HEADER, _flow_text(source))
    request.add(IDENTITY_HEADER, identity)


def _flow_text(source: Hop) -> str:
    """Names a connection, which is one edge's, or a UDP address, which edges may share."""
    flow = "" if source.transport == "udp" else f":{source.flow}"
    return f"{source.transport}:{source.host}:{source.port}{flow}"


def assert_dialog(request: Request, call_id: str, source: str, route: str | None = None) -> None:
    """Writes into a request within a dialog which call the token names and where it came from.

    Args:
        request: already stripped of what the phone claimed.
        call_id: that the token names.
        source: address the phone signals from.
        route: by which the phone is reached from now on, if that changes.
    """
    if call_id:
        request.add(CALL_HEADER, call_id)
    request.add(SOURCE_HEADER, source)
    if route is not None:
        request.add(ROUTE_HEADER, route)


def strip_credentials(request: Request) -> None:
    """Removes the proof that was meant for us (RFC 3261 22.3)."""
    for name in _CREDENTIALS:
        request.remove(name)


def decrement_max_forwards(request: Request) -> bool:
    """Counts one hop (RFC 3261 16.6 step 3); False when the request may not go on (16.3 step 3).

    Raises:
        RemoteProtocolError: the header is malformed.
    """
    hops = request.max_forwards
    if hops is None:
        request.add("max-forwards", "70")
        return True
    if not hops:
        return False
    request.set("max-forwards", str(hops - 1))
    return True
