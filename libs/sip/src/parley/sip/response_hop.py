"""Where responses go (RFC 3261 18.2.2, RFC 3581 4)."""

from parley.sip.errors import RemoteProtocolError
from parley.sip.headers import Via
from parley.sip.hop import Hop
from parley.sip.message import Request, Response


def response_hop(request: Request) -> Hop:
    """Returns the hop for responses to a request whose top Via the transport has stamped.

    Streams answer on the connection the request came on. UDP answers the source address, on the
    source port if the client asked so by `rport`, else on the port it wrote in its Via.

    Raises:
        RemoteProtocolError: the request has neither a source nor a usable Via.
    """
    source = request.source
    if source is None:
        return sent_by_hop(request.via)
    if source.transport != "udp":
        return source
    # `maddr` is not followed: it would let anyone aim our responses at a third party.
    if request.wants_rport:
        return source
    return source._replace(port=request.via.sent_by_port)


def fallback_hop(response: Response) -> Hop | None:
    """Returns where a response goes whose connection is gone; None if nowhere (18.2.2)."""
    try:
        return sent_by_hop(response.via)
    except RemoteProtocolError:
        return None


def sent_by_hop(via: Via) -> Hop:
    """Returns the hop that a Via alone names: received or sent-by host, sent-by port."""
    return Hop(via.transport, via.received or via.host, via.sent_by_port)
