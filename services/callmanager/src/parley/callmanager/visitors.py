"""Messages for calls that are not here, while it is found out who acts for the call."""

from collections.abc import Callable
from typing import Protocol

from parley.callmanager.peers import Peers
from parley.callmanager.sip_profile import REPEATED_HEADER
from parley.sip.message import Request, Response
from parley.sip.transaction import ServerTransaction
from parley.siptransport.node import SipNode


class Visitor(Protocol):
    """One message that waits; exactly one of its methods is called, once."""

    def enter(self) -> None:
        """The call is here: the message goes its normal way."""
        ...

    def redirect(self, owner: str) -> None:
        """The call is another instance's."""
        ...

    def turn_away(self) -> None:
        """There is no such call."""
        ...

    def put_off(self) -> None:
        """It cannot be known now."""
        ...


class RequestVisitor:
    """A request; the edge sends it again where it is told to."""

    def __init__(
        self,
        transaction: ServerTransaction,
        request: Request,
        enter: Callable[[ServerTransaction, Request], None],
        refuse: Callable[[ServerTransaction, Request, int, str], None],
    ) -> None:
        self._transaction = transaction
        self._request = request
        self._enter = enter
        self._refuse = refuse

    def enter(self) -> None:
        """Goes to the call."""
        self._enter(self._transaction, self._request)

    def redirect(self, owner: str) -> None:
        """503 with the owner's name."""
        self._refuse(self._transaction, self._request, 503, owner)

    def turn_away(self) -> None:
        """481; 482 for an INVITE that makes a call, which has ended meanwhile.

        One that may be a repetition only gets 481: its edge challenges the caller then.
        """
        request = self._request
        is_new = request.to.tag is None and not request.has(REPEATED_HEADER)
        self._refuse(self._transaction, request, 482 if is_new else 481, "")

    def put_off(self) -> None:
        """503 that says so: the edge asks others, and again after a moment."""
        self._refuse(self._transaction, self._request, 503, "")


class _Forwarded:
    """What has no transaction here and is handed on as it is."""

    def __init__(
        self,
        message: Request | Response,
        node: SipNode,
        peers: Peers,
        on_stray: Callable[[], None],
    ) -> None:
        self._message = message
        self._node = node
        self._peers = peers
        self._on_stray = on_stray

    def redirect(self, owner: str) -> None:
        """Goes to the owner's address."""
        hop = self._peers.hop_of(owner)
        if hop is None:
            self._on_stray()
        else:
            self._node.send(self._message, hop)

    def turn_away(self) -> None:
        """Dropped."""
        self._on_stray()

    def put_off(self) -> None:
        """Dropped: it comes again."""
        self._on_stray()


class AckVisitor(_Forwarded):
    """An ACK to a 2xx."""

    def __init__(
        self,
        ack: Request,
        enter: Callable[[Request], None],
        node: SipNode,
        peers: Peers,
        on_stray: Callable[[], None],
    ) -> None:
        super().__init__(ack, node, peers, on_stray)
        self._ack = ack
        self._enter = enter

    def enter(self) -> None:
        """Goes to the call."""
        self._enter(self._ack)


class ResponseVisitor(_Forwarded):
    """A response to a request that another instance, or an earlier life of the call, sent."""

    def __init__(
        self,
        response: Response,
        enter: Callable[[Response], None],
        node: SipNode,
        peers: Peers,
        on_stray: Callable[[], None],
    ) -> None:
        super().__init__(response, node, peers, on_stray)
        self._response = response
        self._enter = enter

    def enter(self) -> None:
        """Goes to the transaction, which the restored call has made again, or to the call."""
        if not self._node.redeliver(self._response):
            self._enter(self._response)
