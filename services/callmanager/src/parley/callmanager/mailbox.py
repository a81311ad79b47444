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
from parley.callmanager.call_services import CallServices, Input
from parley.callmanager.call_sip import CallSip
from parley.callmanager.custody import LEAVE, MAKE_SURE, Custody, Leave, MakeSure
from parley.callmanager.ending import log_end
from parley.callmanager.errors import AlreadyThere, Fenced
from parley.model.ids import CallId
from parley.model.media import Reply
from parley.sip.transaction import ClientTransaction, ServerTransaction

MAX_QUEUED: Final = 200
"""Inputs that may wait; a call has a few messages in flight, a flood has more."""
_HOPELESS: Final = 4
"""Breaks of one call after which not even its record can be saved."""
_TIMER_SLACK_S: Final = 0.005

_logger = structlog.stdlib.get_logger(__name__)


class Mailbox:
    """Runs one call.

    Attributes:
        is_over: the call ended, or is another's; nothing more is taken.
    """

    __slots__ = (
        "_actions",
        "_armed_at",
        "_breaks",
        "_custody",
        "_inputs",
        "_is_busy",
        "_is_leaving",
        "_last_publishing",
        "_now",
        "_services",
        "_sip",
        "_timer",
        "call",
        "call_id",
        "is_over",
    )

    def __init__(self, call: Call, services: CallServices) -> None:
        self.call = call
        self.call_id: CallId = call.setup.parties.call_id
        self.is_over = False
        self._services = services
        self._sip = CallSip(self.call_id, services)
        self._custody = Custody(call, services.store, services.keeper)
        self._inputs: deque[Input] = deque()
        self._actions: deque[Action | MakeSure | Leave] = deque()
        self._breaks = 0
        self._is_busy = False
        self._is_leaving = False
        self._last_publishing: asyncio.Task[bool] | None = None
        self._now = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._armed_at = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether an action of it waits."""
        return self._is_busy

    def post(self, function: Callable[..., None], *arguments: Any) -> None:
        """Feeds an input: a method of the call and its arguments; the call is told when it came."""
        if self.is_over:
            return
        if len(self._inputs) >= MAX_QUEUED:
            self._services.metrics.overflows.inc()
            return
        self._inputs.append((self._services.clock.now(), function, arguments))
        self._wake()

    def begin_restored(self) -> None:
        """Starts a call whose record was just claimed: does what it owes."""
        self._custody.adopt()
        self._actions.extend(self.call.out.take())
        self._wake()

    def look_again(self) -> None:
        """Finds out whether the call is still ours, before it acts again."""
        self.post(lambda now: None)

    def doubt(self) -> None:
        """Looks whose the call is although the lease says that nobody can have it."""
        self._custody.doubt()
        self.look_again()

    def leave(self) -> None:
        """Hands the call over: after its present step it is written and forgotten, in silence."""
        self._is_leaving = True
        self._wake()

    def drop(self) -> None:
        """Another instance owns the call: no response, no BYE, no CDR (takeover).

        What came for the call and was not looked at yet goes to its owner.
        """
        if self.is_over:
            return
        self._services.metrics.fenced.inc()
        unread = list(self._inputs)
        self._pass_on()
        self._services.on_unread(self.call_id, unread)

    def note_asked(self, transaction: ServerTransaction) -> None:
        """A request comes to the call; whoever acts for it owes a final response."""
        self._sip.note_asked(transaction)

    def unanswered(self) -> list[ServerTransaction]:
        """Requests to the call that have no final response yet."""
        return self._sip.unanswered()

    def retry(self, key: int, failed: ClientTransaction) -> bool:
        """Sends a request by another edge when its connection failed; False when there is none."""
        return not self.is_over and self._sip.retry(self, key, failed)

    # --- running ---------------------------------------------------------------------------

    def _wake(self) -> None:
        """Works off everything that needs no waiting; a task does the rest."""
        if self._is_busy or self.is_over:
            return
        self._is_busy = True
        if self._work_off():
            self._services.tasks.spawn(self._run_waiting(), name=f"call {self.call_id}")

    def _work_off(self) -> bool:
        """Carries out actions and inputs up to an action that waits; says whether there is one."""
        try:
            while not self.is_over:
                while self._actions:
                    action = self._actions[0]
                    kind = type(action)
                    if kind in self._services.waiting:
                        return True
                    self._actions.popleft()
                    self._NOW[kind](self, action)
                if self._inputs:
                    if self._custody.is_sure():
                        self._step(*self._inputs.popleft())
                    else:
                        self._actions.append(MAKE_SURE)
                elif self._is_leaving:
                    self._actions.append(LEAVE)
                else:
                    break
        except Fenced as error:
            self._give_up(error)
        except Exception as error:  # noqa: BLE001 - root of a call; `_break` logs
            self._break(error)
            return False
        self._is_busy = False
        self._arm()
        return False

    async def _run_waiting(self) -> None:
        """Carries out the first action, which waits, and goes on until nothing waits."""
        # The call may have been lost to another instance before this task began.
        is_waiting = not self.is_over
        while is_waiting:
            try:
                action = self._actions.popleft()
                await self._WAITING[type(action)](self, action)
            except Fenced as error:
                self._give_up(error)
            except Exception as error:  # noqa: BLE001 - root of a call; `_break` logs
                self._break(error)
                return
            is_waiting = self._work_off()

    def _step(self, at: float, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self._custody.is_written = False
        # A reply of the relay is looked at before what came while it was awaited.
        if at > self._now:
            self._now = at
        function(*arguments, self._now)
        self._actions += self.call.out.take()

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
            self._inputs.append((self._services.clock.now(), self.call.abort, ()))
            self._is_busy = False
            self._wake()
        elif self._breaks < _HOPELESS:
            self._write_off(with_legs=self._breaks == 2)
        else:
            self._forget()

    def _write_off(self, *, with_legs: bool) -> None:
        """The last resort: the record goes to the bus, nobody else is told."""
        try:
            self.call.write_off(self._services.clock.now(), with_legs=with_legs)
            self.call.parts.journal.note_written()  # What breaks may be the writing.
            self._end(END_CALL)
        except Exception as error:  # noqa: BLE001 - root of a call; `_break` logs
            self._break(error)

    def _give_up(self, error: Fenced) -> None:
        if isinstance(error, AlreadyThere):
            _logger.info("call is in state already", call_id=self.call_id)
        self.drop()

    # --- actions ---------------------------------------------------------------------------

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
        if not self._custody.is_written:
            run_now(self._custody.write())

    async def _write_waiting(self, _: WriteSnapshot) -> None:
        if not self._custody.is_written:
            await self._custody.write()

    def _make_sure_now(self, _: MakeSure) -> None:
        run_now(self._custody.make_sure())

    async def _make_sure_waiting(self, _: MakeSure) -> None:
        await self._custody.make_sure()

    def _leave_now(self, _: Leave) -> None:
        run_now(self._custody.write())
        self._part()

    async def _leave_waiting(self, _: Leave) -> None:
        await self._custody.write()
        self._part()

    def _part(self) -> None:
        self._services.metrics.handed_over.inc()
        self._pass_on()

    def _pass_on(self) -> None:
        """Everything that is still to be done or told is the next owner's."""
        self.call.parts.journal.disown()
        unanswered = self._sip.unanswered()
        self._forget()
        self._services.on_unanswered(self.call_id, unanswered)

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
        await self._custody.ensure()
        # The reply's actions come before what was queued behind the command.
        rest, self._actions = self._actions, deque()
        self._step(self._services.clock.now(), self.call.receive_media, (action.purpose, reply))
        self._actions += rest

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
        if self.is_over:
            return
        services, record = self._services, self.call.parts.journal.record
        if is_safe:
            deleting = self._custody.delete()
            if services.store.is_immediate:
                run_now(deleting)
            else:
                services.tasks.spawn(deleting, name="ended call leaves state")
        else:
            services.events.finish_later(self.call.parts.journal, self._custody.delete)
        services.registry.note_end(self.call_id, record, self._sip.answers_to_byes())
        if record is not None:
            services.metrics.count_end(record.termination, record.duration_s)
            log_end(record)
        self._forget()

    def _forget(self) -> None:
        """Gives back everything that the call held."""
        self.is_over = True
        self._is_busy = False
        self._inputs.clear()
        self._actions.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._sip.release()
        setup = self.call.setup
        self._services.registry.remove(self.call_id, setup.request, self)
        # The only way back from what the call holds to this mailbox: without it no reference cycle
        # is left, and the call's memory is free when its last transaction ends.
        if setup.transaction is not None:
            setup.transaction.user = None

    # --- time ------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Arms one timer for the earliest deadline; a later one may find the timer early."""
        if self.is_over:
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
        SendRequest: lambda self, action: self._sip.send_request(self, action),
        CancelRequest: lambda self, action: self._sip.cancel(action),
        SendAck: lambda self, action: self._sip.send_ack(action),
        SendResponse: lambda self, action: self._sip.respond(action),
        BindDialog: lambda self, action: self._services.registry.bind(self.call_id, action),
        PublishEvents: _publish,
        WriteSnapshot: _write_now,
        MediaCommand: _command_now,
        EndCall: _end,
        MakeSure: _make_sure_now,
        Leave: _leave_now,
    }
    _WAITING: ClassVar[dict[type, Callable[["Mailbox", Any], Any]]] = {
        MediaCommand: _command,
        WriteSnapshot: _write_waiting,
        MakeSure: _make_sure_waiting,
        Leave: _leave_waiting,
    }
