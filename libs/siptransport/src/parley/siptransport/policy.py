"""What the owner of a `SipNode` decides once for all its transactions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from parley.service.inside import Inside
from parley.sip.hop import Hop
from parley.sip.message import Request, Response
from parley.sip.transaction import fallback_hop


def by_via(response: Response, failed: Hop) -> Hop | None:
    """Returns the other way a response may go: its Via's, when its connection is gone (18.2.2).

    The Via was stamped when its request came in, so that it leads to the request's source address.
    """
    return fallback_hop(response) if failed.flow else None


@dataclass(frozen=True, slots=True)
class NodePolicy:
    """Choices of a node.

    Attributes:
        transports: the names of those that messages may go by, whatever a Route or a Via says.
            None: all that a node has.
        admits: asked about every new request, ACK and a CANCEL of what is known excepted, before
            it gets a transaction; one that is not admitted is dropped. It may send a response by
            `SipNode.send`. None: all are admitted.
        hears: asked with the address of each datagram before it is parsed; where the answer is no
            it is dropped. None: all are heard.
        admits_source: asked with source and listener of what is no SIP message (STUN, malformed
            requests) before it is read to answer it; one that is not admitted is dropped.
        knows: asked about the address of each connection that comes to a public listener; one that
            is known has no part in the bounds of strangers.
        follows: asked about a retransmission that came by another flow than the request; True
            moves the way back of the responses to this flow. None, or False: only if the request's
            connection is closed and the new one comes from the same address.
        reroute: asked with a response of a server transaction that could not be sent over a stream
            (its `listener` tells where the request came in) and the hop that failed; returns
            another hop of the same transport, or None when there is none: then the transaction
            fails. It is asked again when that hop fails too, and has to come to an end.
        takes_cancels: a CANCEL whose request is not known here comes to `on_request` as any other
            request, once it is admitted, for the owner may find who knows it. False: it is
            answered with 481.
        before_sending: called before messages leave, which may tell of what has to be written
            before. Must not raise.
        inside: how connections between services are proved: those that come to listeners opened
            with `is_inside`, and those that we open to what `is_service` names.
        is_service: says whether a service listens at a host and port that we dial.
    """

    transports: frozenset[str] | None = None
    admits: Callable[[Request], bool] | None = None
    hears: Callable[[str], bool] | None = None
    admits_source: Callable[[Hop, Hop], bool] = lambda source, listener: True
    knows: Callable[[str], bool] = lambda host: False
    follows: Callable[[Request], bool] | None = None
    reroute: Callable[[Response, Hop], Hop | None] = by_via
    takes_cancels: bool = False
    before_sending: Callable[[], None] | None = None
    inside: Inside | None = None
    is_service: Callable[[str, int], bool] = lambda host, port: True


DEFAULT_POLICY: Final = NodePolicy()
