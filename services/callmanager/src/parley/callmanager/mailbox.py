"""The shell of one call: its inputs one after another, its actions carried out in order.

Inputs queue while an action waits (a snapshot write, the relay); so a call is never in two places
at once and needs no lock. What needs no waiting is done on the spot, without a task. Whatever
breaks inside a call ends that call only.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, Final

import structlog

from parley.backing.media.base import MediaUnavailable
from parley.backing.state.base import run_now
from parley.callmanager.actions import (
    END_CALL,
    PUBLISH_EVENTS,
    Action,
    BindDialog,
    CancelRequest,
    EndCall,
    MediaCommand,
    PublishEvents,
    SendAck,
    SendRequest,
    SendResponse,
    WriteSnapshot,
)
from parley.callmanager.call import Call
from parley.callmanager.call_services import CallServices
from parley.callmanager.calls import LegAddress
from parley.callmanager.errors import Fenced
from parley.callmanager.snapshot import encode_invite, encode_snapshot
from parley.model.call import CallRecord, EndedBy
from parley.model.media import Reply
from parley.sip.transaction import ClientTransaction, Reliable2xx
from parley.sip.transaction_tables import State

MAX_QUEUED: Final = 200
"""Inputs that may wait; a call has a few messages in flight, a flood has more."""
_HOPELESS: Final = 4
"""Breaks of one call after which not even its record can be saved."""
_MANY_TRANSACTIONS: Final = 16
_TIMER_SLACK_S: Final = 0.005

_logger = structlog.stdlib.get_logger(__name__)

Input = tuple[Callable[..., None], tuple[Any, ...]]


class Mailbox:
    """Runs one call."""

    __slots__ = (
        "_actions",
        "_armed_at",
        "_breaks",
        "_dialogs",
        "_inputs",
        "_invite",
        "_is_busy",
        "_is_over",
        "_is_stored",
        "_is_written",
        "_last_publishing",
        "_repeats",
        "_services",
        "_timer",
        "_transactions",
        "call",
    )

    def __init__(self, call: Call, services: CallServices) -> None:
        self.call = call
        self._services = services
        self._inputs: deque[Input] = deque()
        self._actions: deque[Action] = deque()
        self._breaks = 0
        self._is_busy = False
        self._is_over = False
        self._is_stored = False
        self._is_written = False
        self._invite = encode_invite(call.setup.request)
        self._transactions: dict[int, ClientTransaction] = {}
        self._repeats: list[Reliable2xx] = []
        self._dialogs: list[BindDialog] = []
        self._last_publishing: asyncio.Task[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed_at = 0.0

    def post(self, function: Callable[..., None], *arguments: Any) -> None:
        """Feeds an input: a method of the call and its arguments, the time left out."""
        if self._is_over:
            return
        if len(self._inputs) >= MAX_QUEUED:
            self._services.metrics.overflows.inc()
            return
        self._inputs.append((function, arguments))
        if not self._is_busy:
            self._is_busy = True
            self._run_now()

    # --- running ---------------------------------------------------------------------------

    def _run_now(self) -> None:
        """Works off everything that needs no waiting; a task does the rest."""
        try:
            while not self._is_over:
                while self._actions:
                    action = self._actions[0]
                    kind = type(action)
                    if kind in self._services.waiting:
                        name = f"call {self.call.parts.journal.parties.call_id}"
                        self._services.tasks.spawn(self._run_waiting(), name=name)
                        return
                    self._actions.popleft()
                    self._NOW[kind](self, action)
                if not self._inputs:
                    break
                self._step(*self._inputs.popleft())
        except Fenced:
            self._drop()
        except Exception as error:  # noqa: BLE001 - root of a call; `_break` logs
            self._break(error)
            return
        self._is_busy = False
        self._arm()

    async def _run_waiting(self) -> None:
        """Carries out the first action, which waits, then goes on as usual."""
        try:
            action = self._actions.popleft()
            await self._WAITING[type(action)](self, action)
        except Fenced:
            self._drop()
        except Exception as error:  # noqa: BLE001 - root of a call; `_break` logs
            self._break(error)
            return
        self._run_now()

    def _step(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self._is_written = False
        function(*arguments, self._services.clock.now())
        self._actions.extend(self.call.out.take())

    def _break(self, error: Exception) -> None:
        """An invariant is broken: this call is ended, logged and counted."""
        parties = self.call.parts.journal.parties
        _logger.error(
            "call broken",
            call_id=parties.call_id,
            tenant_id=parties.tenant_id,
            state=self.call.state.value,
            exc_info=error,
        )
        self._services.metrics.broken.inc()
        self._inputs.clear()
        self._actions.clear()
        self.call.out.take()
        self._breaks += 1
        if self._breaks == 1:
            self._inputs.append((self.call.abort, ()))
            self._run_now()
        elif self._breaks < _HOPELESS:
            self._write_off(with_legs=self._breaks == 2)
        else:
            self._forget()

    def _write_off(self, *, with_legs: bool) -> None:
        """The last resort: the record goes to the bus, nobody else is told."""
        try:
            self.call.write_off(self._services.clock.now(), with_legs=with_legs)
            self._end(END_CALL)
        except Exception as error:  # noqa: BLE001 - root of a call; `_break` logs
            self._break(error)

    def _drop(self) -> None:
        """Another instance owns the call: no response, no BYE, no CDR (takeover)."""
        self._services.metrics.fenced.inc()
        self._forget()

    # --- actions ---------------------------------------------------------------------------

    def _send_request(self, action: SendRequest) -> None:
        request = action.request
        transaction = self._services.node.send_request(request, action.hop, (self, action.key))
        if request.method == "INVITE":
            self._keep_for_cancel(action.key, transaction)

    def _keep_for_cancel(self, key: int, transaction: ClientTransaction) -> None:
        kept = self._transactions
        if len(kept) >= _MANY_TRANSACTIONS:
            over = [old for old, each in kept.items() if each.state is State.TERMINATED]
            for old in over:
                del kept[old]
        kept[key] = transaction

    def _cancel(self, action: CancelRequest) -> None:
        transaction = self._transactions.get(action.key)
        if transaction is not None:
            self._services.node.cancel(transaction, action.headers)

    def _send_ack(self, action: SendAck) -> None:
        self._services.node.send(action.request, action.hop)

    def _respond(self, action: SendResponse) -> None:
        node = self._services.node
        if not action.until_ack:
            node.respond(action.transaction, action.response)
            return
        repeat = node.respond_until_ack(action.transaction, action.response)
        if repeat is not None:
            self._repeats = [repeat]

    def _bind(self, action: BindDialog) -> None:
        self._dialogs.append(action)
        self._services.calls.bind(
            action.sip_call_id, action.local_tag, LegAddress(self, action.leg)
        )

    def _publish(self, _: PublishEvents) -> None:
        services, journal = self._services, self.call.parts.journal
        if journal.record is None:
            services.events.publish(journal)
        elif self._last_publishing is None:
            self._last_publishing = services.tasks.spawn(
                services.events.publish_last(journal), name="last events of a call"
            )

    def _write_now(self, _: WriteSnapshot) -> None:
        # Several barriers of one step see the same state: one write serves them all.
        if not self._is_written:
            store = self._services.store
            if not store.now(self._write()):
                raise Fenced

    async def _write_waiting(self, _: WriteSnapshot) -> None:
        if not self._is_written and not await self._write():
            raise Fenced

    async def _write(self) -> bool:
        store, setup = self._services.store, self.call.setup
        parties = setup.parties
        self._is_written = True
        snapshot = encode_snapshot(self.call, setup.epoch, self._invite)
        if self._is_stored:
            return await store.write(parties.call_id, setup.epoch, snapshot)
        self._is_stored = True
        journal = self.call.parts.journal
        started_s = journal.wall_s(journal.started_at)
        return await store.create(parties.call_id, parties.tenant_id, started_s, snapshot)

    def _command_now(self, action: MediaCommand) -> None:
        run_now(self._command(action))

    async def _command(self, action: MediaCommand) -> None:
        reply: Reply | None = None
        try:
            reply = await self._services.media.execute(action.command)
        except MediaUnavailable as error:
            parties = self.call.parts.journal.parties
            _logger.warning("no media relay", call_id=parties.call_id, reason=str(error))
        if reply is not None and not reply.ok:
            _logger.warning("relay refused", session=reply.session_id, reason=reply.detail)
        # The reply's actions come before what was queued behind the command.
        rest = list(self._actions)
        self._actions.clear()
        self._step(self.call.receive_media, (action.purpose, reply))
        self._actions.extend(rest)

    def _end(self, _: EndCall) -> None:
        """Waits for the last events to be safe; meanwhile late messages are still answered."""
        self._publish(PUBLISH_EVENTS)
        if self._last_publishing is None:
            self._finish(is_safe=False)
        else:
            self._last_publishing.add_done_callback(self._on_published)

    def _on_published(self, publishing: "asyncio.Task[bool]") -> None:
        is_safe = not publishing.cancelled() and publishing.exception() is None
        self._finish(is_safe=is_safe and publishing.result())

    def _finish(self, *, is_safe: bool) -> None:
        if self._is_over:
            return
        services, setup, record = self._services, self.call.setup, self.call.parts.journal.record
        if is_safe and self._is_stored:
            parties, epoch = setup.parties, setup.epoch
            deleting = services.store.delete(parties.call_id, parties.tenant_id, epoch)
            if services.store.is_immediate:
                services.store.now(deleting)
            else:
                services.tasks.spawn(deleting, name="ended call leaves state")
        if record is not None:
            services.metrics.count_end(record.termination, record.duration_s)
            _log_end(record)
        self._forget()

    def _unbind(self) -> None:
        for dialog in self._dialogs:
            self._services.calls.unbind(dialog.sip_call_id, dialog.local_tag)
        self._dialogs.clear()

    def _forget(self) -> None:
        """Gives back everything that the call held."""
        self._is_over = True
        self._is_busy = False
        self._inputs.clear()
        self._actions.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for repeat in self._repeats:
            repeat.stop()
        self._unbind()
        setup = self.call.setup
        self._services.calls.remove(setup.parties.call_id, setup.request)
        self._transactions.clear()
        # The only way back from what the call holds to this mailbox: without it no reference cycle
        # is left, and the call's memory is free when its last transaction ends.
        setup.transaction.user = None

    # --- time ------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Arms one timer for the earliest deadline; a later one may find the timer early."""
        if self._is_over:
            return
        due = self.call.next_timeout()
        if due is None or (self._timer is not None and self._armed_at <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed_at = due
        delay = max(0.0, due - self._services.clock.now()) + _TIMER_SLACK_S
        self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.post(self.call.handle_timeout)

    _NOW: ClassVar[dict[type, Callable[["Mailbox", Any], None]]] = {
        SendRequest: _send_request,
        CancelRequest: _cancel,
        SendAck: _send_ack,
        SendResponse: _respond,
        BindDialog: _bind,
        PublishEvents: _publish,
        WriteSnapshot: _write_now,
        MediaCommand: _command_now,
        EndCall: _end,
    }
    _WAITING: ClassVar[dict[type, Callable[["Mailbox", Any], Any]]] = {
        MediaCommand: _command,
        WriteSnapshot: _write_waiting,
    }


def _log_end(record: CallRecord) -> None:
    """One line per call; what people ended by themselves is news only to a debugging eye."""
    ended = record.termination
    log = _logger.info if ended.by is EndedBy.PLATFORM else _logger.debug
    log(
        "call ended",
        call_id=record.call_id,
        tenant_id=record.tenant_id,
        result=ended.result.value,
        reason=ended.reason,
        sip_status=ended.sip_status,
        duration_s=record.duration_s,
    )
