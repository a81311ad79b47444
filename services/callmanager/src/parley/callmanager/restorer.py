"""Brings a call to life here: claim, snapshot, call, mailbox.

A snapshot is looked at before it is claimed. One of a version that this program does not know is
left where it is, to those who do; it is looked at again after a while.
"""

from typing import Any, Final

import structlog

from parley.backing.errors import BackingError
from parley.callmanager.call import Call
from parley.callmanager.call_services import CallServices
from parley.callmanager.calls import Calls
from parley.callmanager.errors import MalformedSnapshot
from parley.callmanager.mailbox import Mailbox
from parley.callmanager.orphans import OrphanCloser
from parley.callmanager.restore import RestoreContext, restore_call, restore_lost_call
from parley.callmanager.snapshot import Snapshot, decode_snapshot
from parley.model.ids import CallId, InstanceId
from parley.sip.ids import Ids
from parley.sip.message import Request

NEVER: Final = -1.0
"""For `last_seen_s`: the call is not lost."""
UNREADABLE_S: Final = 10.0
"""Between looks at a snapshot that could not be read."""
_MANY_UNREADABLE: Final = 10_000

_logger = structlog.stdlib.get_logger(__name__)


class Restorer:
    """Claims calls and makes them run here."""

    def __init__(
        self,
        services: CallServices,
        calls: Calls,
        closer: OrphanCloser,
        *,
        instance: InstanceId,
        product: str,
        ids: Ids,
    ) -> None:
        self._services = services
        self._calls = calls
        self._closer = closer
        self._instance = instance
        self._product = product
        self._ids = ids
        self._unreadable: dict[CallId, float] = {}

    def is_unreadable(self, call_id: CallId) -> bool:
        """Whether a call's snapshot could not be read here a short while ago."""
        return self._services.clock.now() < self._unreadable.get(call_id, 0.0)

    async def take(
        self,
        call_id: CallId,
        epoch: int,
        former: str,
        *,
        started_s: float | None = None,
        last_seen_s: float = NEVER,
    ) -> bool:
        """Claims a call of this epoch and starts it.

        Args:
            call_id: the call.
            epoch: of its record.
            former: the owner in its record, whose index names it.
            started_s: its score in that index, Unix seconds, for a sweeper, which then clears it.
            last_seen_s: when its owner was last heard of, Unix seconds, for a call that is over.

        Returns:
            False when somebody else was faster, or has to be: we cannot read the snapshot.

        Raises:
            BackingError: state did not answer.
            TimeoutError: nor did it within the time-out.
        """
        services = self._services
        if self.is_unreadable(call_id):
            return False
        data = await services.store.snapshot(call_id)
        snapshot = None if data is None else self._read(call_id, data)
        if snapshot is None:
            return False
        score = services.clock.wall_s() if started_s is None else started_s
        claimed = await services.store.claim(call_id, epoch, score)
        if claimed is None:
            return False
        if former != self._instance and started_s is None:
            self._release(former, call_id)
        if claimed.value != data:
            # Its owner wrote once more. What we cannot read our index names still: we look again.
            snapshot = self._read(call_id, claimed.value)
            if snapshot is None:
                return False
        await self._start(call_id, snapshot, claimed.epoch, last_seen_s)
        return True

    async def _start(
        self, call_id: CallId, snapshot: Snapshot, epoch: int, last_seen_s: float
    ) -> None:
        services = self._services
        try:
            mailbox = self._make(snapshot, epoch, last_seen_s)
        except Exception as error:
            # Root of a call: its record is written at least.
            _logger.error("a call cannot be restored", call_id=call_id, exc_info=error)
            services.metrics.unreadable.inc()
            await self._closer.close(snapshot, epoch, last_seen_s)
            return
        self._calls.adopt(call_id, mailbox, mailbox.call.setup.request)
        services.metrics.taken_over.inc()
        mailbox.begin_restored()

    def _read(self, call_id: CallId, data: bytes) -> Snapshot | None:
        try:
            snapshot = decode_snapshot(data)
        except MalformedSnapshot as error:
            self._note_unreadable(call_id, error)
            return None
        self._unreadable.pop(call_id, None)
        return snapshot

    def _note_unreadable(self, call_id: CallId, error: MalformedSnapshot) -> None:
        if call_id not in self._unreadable:
            _logger.error("a snapshot cannot be read", call_id=call_id, reason=str(error))
            self._services.metrics.unreadable.inc()
            if len(self._unreadable) >= _MANY_UNREADABLE:
                del self._unreadable[next(iter(self._unreadable))]
        self._unreadable[call_id] = self._services.clock.now() + UNREADABLE_S

    def _make(self, snapshot: Snapshot, epoch: int, last_seen_s: float) -> Mailbox:
        services, adopted = self._services, list[Any]()

        def adopt(request: Request) -> Any:
            transaction = services.node.adopt(request)
            adopted.append(transaction)
            return transaction

        env = RestoreContext(self._instance, self._product, self._ids, adopt)
        now, wall_s = services.clock.now(), services.clock.wall_s()
        call: Call
        if last_seen_s == NEVER:
            call = restore_call(snapshot, env, epoch, now, wall_s)
        else:
            call = restore_lost_call(snapshot, env, epoch, now, wall_s, last_seen_s)
        mailbox = Mailbox(call, services)
        for transaction in adopted:
            transaction.user = mailbox
            mailbox.note_asked(transaction)
        return mailbox

    def _release(self, former: str, call_id: CallId) -> None:
        self._services.tasks.spawn(self._release_index(former, call_id), name="index of the dead")

    async def _release_index(self, former: str, call_id: CallId) -> None:
        try:
            await self._services.store.release(former, call_id)
        except (BackingError, TimeoutError):
            # A sweeper finds the entry and sees whose the call is.
            self._services.metrics.unprotected_writes.inc()
