"""What may cross between phones, this platform and back, header by header.

Outsiders may not set what only Parley sets (seams, section 9), nor identities and diversions that
others would believe (RFC 3325 5: a proxy removes P-Asserted-Identity from whom it does not
trust). Headers are removed by the parsed name, after compact forms, case and blanks before the
colon have been made one, so no spelling slips past. In the other direction nothing internal
reaches a phone.
"""

from typing import Final

from parley.sip.errors import RemoteProtocolError
from parley.sip.message import Message, Request

CALL_HEADER: Final = "x-parley-call"
TENANT_HEADER: Final = "x-parley-tenant"
SOURCE_HEADER: Final = "x-parley-source"
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
    names = message.header_names()
    if not FOREIGN_HEADERS.isdisjoint(names):
        for name in FOREIGN_HEADERS.intersection(names):
            message.remove(name)
    _remove_internal(message, names)


def strip_internal(message: Message) -> None:
    """Takes what is ours from a message to a phone; hides who asked for privacy (RFC 3325 7)."""
    _remove_internal(message, message.header_names())
    if message.has("privacy") and wants_privacy(message):
        for name in _HIDDEN_BY_PRIVACY:
            message.remove(name)


def _remove_internal(message: Message, names: list[str]) -> None:
    for name in names:
        if name.startswith(INTERNAL_PREFIX):
            message.remove(name)


def wants_privacy(message: Message) -> bool:
    """Says whether the asserted identity must not leave the platform (RFC 3323 4.2, RFC 3325 7)."""
    values = {
        part.strip().lower() for line in message.get_all("privacy") for part in line.split(";")
    }
    return "id" in values


def assert_call(request: Request, call_id: str, source: str, tenant: str, identity: str) -> None:
    """Writes into a new call's INVITE what the call manager may rely on.

    Args:
        request: already stripped of what the phone claimed.
        call_id: our id of the call.
        source: address the phone signals from.
        tenant: tenant id.
        identity: the caller as a name-addr.
    """
    request.add(CALL_HEADER, call_id)
    request.add(TENANT_HEADER, tenant)
    request.add(SOURCE_HEADER, source)
    request.add(IDENTITY_HEADER, identity)


def assert_dialog(request: Request, call_id: str, source: str) -> None:
    """Writes into a request within a dialog which call the token names and where it came from."""
    if call_id:
        request.add(CALL_HEADER, call_id)
    request.add(SOURCE_HEADER, source)


def strip_credentials(request: Request) -> None:
    """Removes the proof that was meant for us (RFC 3261 22.3)."""
    for name in _CREDENTIALS:
        request.remove(name)


def decrement_max_forwards(request: Request) -> bool:
    """Counts one hop (RFC 3261 16.6 step 3); False when the request may not go on (16.3 step 3).

    Raises:
        RemoteProtocolError: the header is malformed.
    """
    text = request.get("max-forwards")
    if text is None:
        request.add("max-forwards", "70")
        return True
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255):
        raise RemoteProtocolError("Max-Forwards is malformed")
    if text.strip("0") == "":
        return False
    request.set("max-forwards", str(int(text) - 1))
    return True
