"""A node's owner that answers by rule and remembers what it saw."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from parley.sip.hop import Hop
from parley.sip.message import Request, Response
from parley.sip.transaction import (
    AckReceived,
    CancelReceived,
    ClientTransaction,
    FailureCause,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
    StrayResponse,
    TransactionFailed,
)

E = TypeVar("E")

_PATIENCE_S = 5.0
_LONG_PATIENCE_S = 8.0


class RecordingHandler:
    """Implements `parley.siptransport.handler.SipHandler`.

    Attributes:
        events: what came, oldest first; a closed flow is its `Hop`.
        closed_ways: the hops that led to the closed flows.
        answer: called with each new request, for instance to respond.
    """

    def __init__(self, answer: Callable[[ServerTransaction, Request], None] | None = None) -> None:
        self.events: asyncio.Queue[object] = asyncio.Queue()
        self.closed_ways: list[Hop] = []
        self.answer = answer

    async def next(self, kind: type[E]) -> E:
        """Waits, at most 5 s, for the next event, which must be of this kind."""
        async with asyncio.timeout(_PATIENCE_S):
            event = await self.events.get()
        assert isinstance(event, kind), event
        return event

    async def find(self, kind: type[E]) -> E:
        """Waits, at most 8 s, for an event of this kind; others before it are left out."""
        async with asyncio.timeout(_LONG_PATIENCE_S):
            while True:
                event = await self.events.get()
                if isinstance(event, kind):
                    return event

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        """Remembers and answers."""
        self.events.put_nowait(RequestReceived(transaction, request))
        if self.answer is not None:
            self.answer(transaction, request)

    def on_cancel(self, transaction: ServerTransaction, request: Request) -> None:
        """Remembers."""
        self.events.put_nowait(CancelReceived(transaction, request))

    def on_ack(self, request: Request) -> None:
        """Remembers."""
        self.events.put_nowait(AckReceived(request))

    def on_response(self, transaction: ClientTransaction, response: Response) -> None:
        """Remembers."""
        self.events.put_nowait(ResponseReceived(transaction, response))

    def on_stray_response(self, response: Response) -> None:
        """Remembers."""
        self.events.put_nowait(StrayResponse(response))

    def on_failure(
        self, transaction: ClientTransaction | ServerTransaction, cause: FailureCause
    ) -> None:
        """Remembers."""
        self.events.put_nowait(TransactionFailed(transaction, cause))

    def on_flow_closed(self, flow: Hop, way: Hop) -> None:
        """Remembers."""
        self.closed_ways.append(way)
        self.events.put_nowait(flow)
