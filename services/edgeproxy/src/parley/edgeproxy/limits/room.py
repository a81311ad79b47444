"""Room for requests: bounds on what is remembered and on what waits, half of it for the known."""

from typing import Final

from parley.edgeproxy.limits.known_sources import KnownSources
from parley.service.tasks import TaskOwner
from parley.sip.transaction import TransactionLayer

MAX_WAITING: Final = 2000
"""Requests that wait for shared state; more come when it is slower than the phones."""


class Room:
    """Says whether one more request can be taken.

    Args:
        layer: of the node; its server transactions are what is remembered.
        tasks: requests that wait.
        known: who may have the second half.
        transactions: how many there may be.
    """

    __slots__ = ("_known", "_servers", "_transactions", "_waiting")

    def __init__(
        self, layer: TransactionLayer, tasks: TaskOwner, known: KnownSources, transactions: int
    ) -> None:
        self._servers = layer.servers
        self._waiting = tasks
        self._known = known
        self._transactions = transactions

    def admits(self, host: str) -> bool:
        """Says whether a request from this address may have a transaction."""
        used, waiting = len(self._servers), len(self._waiting)
        if 2 * used < self._transactions and 2 * waiting < MAX_WAITING:
            return True
        return used < self._transactions and waiting < MAX_WAITING and self._known.knows(host)
