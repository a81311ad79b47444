"""A SIP node with a recording handler: the other end of a test that needs real sockets."""

import ssl
from typing import Protocol

from parley.service.clock import SystemClock
from parley.service.ids import RandomIds
from parley.sip.message import Request
from parley.sip.timers import DEFAULT_TIMERS, Timers
from parley.sip.transaction import ServerTransaction
from parley.siptransport.limits import DEFAULT_LIMITS, TransportLimits
from parley.siptransport.node import SipNode
from parley.siptransport.policy import DEFAULT_POLICY, NodePolicy
from parley.testkit.sip_handler import RecordingHandler
from parley.testkit.sip_messages import make_response


class SipPeer:
    """Answers every request but INVITE by 200, and remembers all events.

    Attributes:
        handler: the events.
        node: the node, without listeners.
    """

    def __init__(
        self,
        timers: Timers = DEFAULT_TIMERS,
        limits: TransportLimits = DEFAULT_LIMITS,
        client_tls: ssl.SSLContext | None = None,
        policy: NodePolicy = DEFAULT_POLICY,
    ) -> None:
        self.handler = RecordingHandler(self._answer)
        self.node = SipNode(
            SystemClock(),
            RandomIds(),
            self.handler,
            timers,
            limits=limits,
            client_tls=client_tls,
            policy=policy,
        )

    def _answer(self, transaction: ServerTransaction, request: Request) -> None:
        if not transaction.is_invite:
            self.node.respond(transaction, make_response(transaction, 200))


class MakePeer(Protocol):
    """A fixture that makes peers and closes them after the test."""

    def __call__(
        self,
        timers: Timers = DEFAULT_TIMERS,
        limits: TransportLimits = DEFAULT_LIMITS,
        client_tls: ssl.SSLContext | None = None,
        policy: NodePolicy = DEFAULT_POLICY,
    ) -> SipPeer:
        """Makes one more peer."""
        ...
