"""The two requests that a client transaction builds from its INVITE: ACK and CANCEL."""

from collections.abc import Iterable

from parley.sip.message import Request, Response

_MAX_FORWARDS = "70"


def ack_for(invite: Request, response: Response) -> Request:
    """Builds the ACK to a non-2xx final response (RFC 3261 17.1.1.3)."""
    return _derived(invite, "ACK", response.get("to") or "")


def cancel_for(invite: Request, headers: Iterable[tuple[str, str]] = ()) -> Request:
    """Builds the CANCEL of a request (RFC 3261 9.1).

    Args:
        invite: as it was sent, our Via on top.
        headers: further (name, value) pairs, such as Reason (RFC 3326).
    """
    cancel = _derived(invite, "CANCEL", invite.get("to") or "")
    for name, value in headers:
        cancel.add(name, value)
    return cancel


def _derived(invite: Request, method: str, to: str) -> Request:
    request = Request(method, invite.uri_text)
    request.add("via", invite.get("via") or "")
    for route in invite.get_all("route"):
        request.add("route", route)
    request.add("from", invite.get("from") or "")
    request.add("to", to)
    request.add("call-id", invite.call_id)
    request.add("cseq", f"{invite.cseq.number} {method}")
    request.add("max-forwards", _MAX_FORWARDS)
    return request
