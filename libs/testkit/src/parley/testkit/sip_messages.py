"""Plain SIP messages for tests that are about something else."""

from parley.sip.message import Request, Response, response_to
from parley.sip.transaction import ServerTransaction


def make_request(
    method: str = "INVITE",
    *,
    cseq: int = 1,
    call_id: str = "call-1",
    to_tag: str | None = None,
    contact: str = "<sip:alice@left.test:5060>",
) -> Request:
    """Makes a request from alice to bob, complete but for the Via."""
    request = Request(method, "sip:bob@right.test")
    request.add("max-forwards", "70")
    request.add("from", '"Alice" <sip:alice@example.com>;tag=a1')
    request.add("to", "<sip:bob@example.com>" + (f";tag={to_tag}" if to_tag else ""))
    request.add("call-id", call_id)
    request.add("cseq", f"{cseq} {method}")
    request.add("contact", contact)
    return request


def make_response(
    request: Request | ServerTransaction,
    status: int,
    *,
    to_tag: str = "b1",
    contact: str = "<sip:bob@right.test:5060>",
) -> Response:
    """Makes bob's response; a dialog-making one has a Contact."""
    if isinstance(request, ServerTransaction):
        request = request.request
    response = response_to(request, status, to_tag=to_tag if status > 100 else None)
    if 100 < status < 300:
        response.add("contact", contact)
    return response
