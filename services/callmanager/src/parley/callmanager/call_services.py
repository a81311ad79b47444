"""The outside of the calls: what every mailbox works with."""

from parley.backing.media.base import MediaControl
from parley.callmanager.actions import MediaCommand, WriteSnapshot
from parley.callmanager.calls import Calls
from parley.callmanager.events import CallEvents
from parley.callmanager.metrics import CallManagerMetrics
from parley.callmanager.store import CallStore
from parley.service.clock import Clock
from parley.service.tasks import TaskOwner
from parley.siptransport.node import SipNode


class CallServices:
    """What all mailboxes share: the outside of the calls.

    Attributes:
        waiting: types of actions that cannot be carried out on the spot; a media control that
            never waits says so by `is_immediate`, as the state port does.
    """

    def __init__(  # noqa: PLR0913 - wiring, by keyword
        self,
        *,
        node: SipNode,
        media: MediaControl,
        store: CallStore,
        events: CallEvents,
        calls: Calls,
        clock: Clock,
        tasks: TaskOwner,
        metrics: CallManagerMetrics,
    ) -> None:
        self.node = node
        self.media = media
        self.store = store
        self.events = events
        self.calls = calls
        self.clock = clock
        self.tasks = tasks
        self.metrics = metrics
        self.waiting: set[type] = set()
        if not store.is_immediate:
            self.waiting.add(WriteSnapshot)
        if not getattr(media, "is_immediate", False):
            self.waiting.add(MediaCommand)
