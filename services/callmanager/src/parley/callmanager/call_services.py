"""The outside of the calls: what every mailbox works with."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from parley.backing.media.base import MediaControl
from parley.callmanager.actions import BindDialog, MediaCommand, WriteSnapshot
from parley.callmanager.custody import Leave, MakeSure
from parley.callmanager.edges import Edges
from parley.callmanager.events import CallEvents
from parley.callmanager.lease_keeper import LeaseKeeper
from parley.callmanager.metrics import CallManagerMetrics
from parley.callmanager.store import CallStore
from parley.model.call import CallRecord
from parley.model.ids import CallId
from parley.service.clock import Clock
from parley.service.tasks import TaskOwner
from parley.sip.message import Request, Response
from parley.sip.transaction import ServerTransaction
from parley.siptransport.node import SipNode

Input = tuple[float, Callable[..., None], tuple[Any, ...]]
"""When it came, a method of a call and its arguments, the time left out."""


class CallRegistry(Protocol):
    """Where a call is found, as the call itself sees it; it is `calls.py`."""

    def bind(self, call_id: CallId, dialog: BindDialog) -> None:
        """In-dialog messages with this Call-ID and tag are for that leg, until `remove`."""
        ...

    def note_end(
        self, call_id: CallId, record: CallRecord | None, to_byes: Sequence[Response]
    ) -> None:
        """The call ended here, in order; `to_byes` are the 200s to the BYEs of its phones."""
        ...

    def remove(self, call_id: CallId, request: Request, mailbox: Any) -> None:
        """The call is over; `request` is the INVITE that made it."""
        ...


class CallServices:
    """What all mailboxes share: the outside of the calls.

    Attributes:
        registry: where calls make themselves findable.
        waiting: types of actions that cannot be carried out on the spot; a media control that
            never waits says so by `is_immediate`, as the state port does.
        on_unread: told the inputs that a dropped call has not looked at.
        on_unanswered: told the transactions to which a dropped call, or one handed over, owes a
            final response.
    """

    def __init__(  # noqa: PLR0913 - wiring, by keyword
        self,
        *,
        node: SipNode,
        media: MediaControl,
        store: CallStore,
        events: CallEvents,
        registry: CallRegistry,
        keeper: LeaseKeeper,
        edges: Edges,
        clock: Clock,
        tasks: TaskOwner,
        metrics: CallManagerMetrics,
    ) -> None:
        self.node = node
        self.media = media
        self.store = store
        self.events = events
        self.registry = registry
        self.keeper = keeper
        self.edges = edges
        self.clock = clock
        self.tasks = tasks
        self.metrics = metrics
        self.on_unread: Callable[[CallId, Sequence[Input]], None] = lambda call_id, inputs: None
        self.on_unanswered: Callable[[CallId, Sequence[ServerTransaction]], None] = (
            lambda call_id, asked: None
        )
        self.waiting: set[type] = set()
        if not store.is_immediate:
            self.waiting.update((WriteSnapshot, MakeSure, Leave))
        if not getattr(media, "is_immediate", False):
            self.waiting.add(MediaCommand)
