"""Answers of which nothing is kept, for senders who have proved nothing yet (RFC 3261 8.2.7).

A challenge or a refusal is sent once for each request that comes: no retransmission, no state, so
a forged source costs nothing that lasts (26.3.2.4). The ACK to it finds no transaction and is the
user's to drop. Over UDP the source may be somebody else, who must not get much more than was sent.
"""

from contextlib import suppress
from hashlib import blake2b
from typing import Final

from parley.sip.errors import ParseError, ProtocolError
from parley.sip.hop import Hop
from parley.sip.message import Request, Response, response_to, salvage

MAX_AMPLIFICATION: Final = 3
"""Bytes that an unverified UDP source is sent for each byte that came from it."""

_TAG_BYTES: Final = 8


def stateless_tag(request: Request) -> str:
    """Returns the To tag of a stateless answer: the same for each repetition (8.2.7)."""
    # A repetition is the same in every line, and all of them at once cost no call for each.
    data = request.header_text()
    return blake2b(data, digest_size=_TAG_BYTES).hexdigest()


def stateless_response(
    request: Request,
    status: int,
    reason: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Response:
    """Makes an answer of which nothing is kept."""
    return response_to(request, status, reason, to_tag=stateless_tag(request), headers=headers)


def answer_to_malformed(error: ParseError, source: Hop) -> Response | None:
    """Returns what a request that cannot be parsed is told at its source; None: nothing.

    Its Via is stamped if it can be read, else repeated as it is.
    """
    request = salvage(error.data)
    if request is None:
        return None
    with suppress(ProtocolError):
        request.stamp_via(source.host, source.port)
    response = stateless_response(request, error.status)
    return response if is_proportionate(response, request, source) else None


def is_proportionate(response: Response, request: Request, hop: Hop, spent: int = 0) -> bool:
    """Says whether a response may go to a source that nothing vouches for.

    Args:
        response: what would be sent.
        request: as received; one that was not received allows nothing.
        hop: where to; whoever is at the end of a stream has shown that he hears us.
        spent: bytes that were sent for this request before.
    """
    if hop.transport != "udp":
        return True
    return spent + len(bytes(response)) <= MAX_AMPLIFICATION * request.received_bytes
