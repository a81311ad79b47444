"""How messages find their transaction (RFC 3261 17.1.3 and 17.2.3)."""

from parley.sip.message import Request

MAGIC_COOKIE = "z9hG4bK"

CANCELLABLE = (
    "INVITE",
    "REGISTER",
    "OPTIONS",
    "BYE",
    "MESSAGE",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
    "PUBLISH",
    "UPDATE",
    "INFO",
    "PRACK",
)
"""What a CANCEL may name; for all but INVITE it is answered and changes nothing (9.2)."""

Key = tuple[object, ...]


def server_key(request: Request, method: str) -> Key:
    """Returns the key of the server transaction of `method` that `request` belongs to.

    Args:
        request: with valid mandatory headers.
        method: the request's own; "INVITE" for an ACK or to find what a CANCEL is about.
    """
    via = request.via
    branch = via.branch
    if branch is not None and branch.startswith(MAGIC_COOKIE):
        return (branch, method, via.host.lower(), via.port)
    return _old_key(request, method)


def _old_key(request: Request, method: str) -> Key:
    """The key of a client older than RFC 3261, whose branch is not unique.

    The To tag, part of the rule for all but ACK, is left out: one CSeq number never comes both
    without and with a tag, and an ACK carries the tag of the response (checked by the layer).
    """
    return (
        request.call_id,
        request.cseq.number,
        request.from_.tag,
        request.uri_text,
        request.get("via"),
        method,
    )
