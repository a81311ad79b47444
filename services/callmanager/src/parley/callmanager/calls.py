"""The calls that this instance owns, found by id, by dialog and by the INVITE that made them."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple, Self

from parley.callmanager.actions import BindDialog
from parley.callmanager.mailbox import Mailbox
from parley.callmanager.metrics import CallManagerMetrics
from parley.callmanager.redirection import MOVED
from parley.callmanager.sip_profile import CALL_HEADER
from parley.model.call import CallRecord
from parley.model.ids import CallId
from parley.sip.message import Message, Request, Response

_MANY_ENDED: Final = 4096
MERGED: Final = 482
"""RFC 3261 8.2.2.2."""
_AT_ONCE: Final = 100
_PAUSE_S: Final = 0.005
_PAUSES: Final = 200

RequestKey = tuple[str, str | None, int]


class LegAddress(NamedTuple):
    """A leg of a call."""

    mailbox: Mailbox
    leg: str


def request_key(message: Message) -> RequestKey:
    """What the copies of one request share, whatever way they came (RFC 3261 8.2.2.2).

    Its responses have it too. Of one dialog and method, that is: an INVITE or a BYE.
    """
    return message.call_id, message.from_.tag, message.cseq.number


class Ended(NamedTuple):
    """A call that ended here a short while ago.

    Attributes:
        byes: those of its phones that were answered by 200.
        refusal: what its INVITE gets when it comes again: the final status that it got, or 482 when
            it was answered.
    """

    byes: Collection[RequestKey]
    refusal: int

    @classmethod
    def of(cls, record: CallRecord | None, to_byes: Sequence[Response]) -> Self:
        """Of a call with this record and these answers to BYEs."""
        byes = [request_key(answer) for answer in to_byes]
        if record is None or record.answered_at is not None:
            return cls(byes, MERGED)
        status = record.termination.sip_status
        # Where it was redirected to is not kept, and a 302 without it says nothing.
        return cls(byes, 480 if status == MOVED else status)


class Calls:
    """The registry; everything a call binds is unbound with it."""

    def __init__(self, metrics: CallManagerMetrics) -> None:
        self._metrics = metrics
        self._by_id: dict[CallId, Mailbox] = {}
        self._by_dialog: dict[tuple[str, str], LegAddress] = {}
        self._dialogs: dict[CallId, dict[tuple[str, str], None]] = {}
        self._by_invite: dict[RequestKey, CallId] = {}
        self._ended: dict[CallId, Ended] = {}
        self._pending: set[CallId] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._by_id) + len(self._pending)

    def __iter__(self) -> Iterator[Mailbox]:
        return iter(list(self._by_id.values()))

    def begin(self, call_id: CallId, request: Request) -> bool:
        """Notes a call that is being admitted; False when it, or its INVITE, is there already."""
        key = request_key(request)
        if call_id in self._by_id or call_id in self._pending or key in self._by_invite:
            return False
        self._pending.add(call_id)
        self._by_invite[key] = call_id
        self._idle.clear()
        return True

    def add(self, call_id: CallId, mailbox: Mailbox) -> None:
        """The call was admitted."""
        self._pending.discard(call_id)
        self._by_id[call_id] = mailbox
        self._metrics.started.inc()
        self._metrics.calls.inc()

    def adopt(self, call_id: CallId, mailbox: Mailbox, request: Request) -> None:
        """A call was taken over; `request` is the INVITE that made it."""
        if call_id not in self._by_id:
            self._metrics.calls.inc()
        self._by_id[call_id] = mailbox
        self._by_invite[request_key(request)] = call_id
        self._ended.pop(call_id, None)
        self._idle.clear()

    def remove(self, call_id: CallId, request: Request, mailbox: Mailbox | None = None) -> None:
        """The call is over, or not admitted (no mailbox), unless it was taken over meanwhile."""
        self._pending.discard(call_id)
        self._unbind(call_id, mailbox)
        if self._by_id.get(call_id) is not mailbox:
            return
        key = request_key(request)
        if self._by_invite.get(key) == call_id:
            del self._by_invite[key]
        if self._by_id.pop(call_id, None) is not None:
            self._metrics.calls.dec()
        if not self._by_id and not self._pending:
            self._idle.set()

    def note_end(
        self, call_id: CallId, record: CallRecord | None, to_byes: Sequence[Response]
    ) -> None:
        """The call ended here, in order: what still comes for it needs no search in state."""
        self._ended[call_id] = Ended.of(record, to_byes)
        if len(self._ended) > _MANY_ENDED:
            del self._ended[next(iter(self._ended))]

    def has_ended(self, call_id: CallId) -> bool:
        """Says whether a call ended here a short while ago."""
        return call_id in self._ended

    def has_taken_bye(self, call_id: CallId, request: Request) -> bool:
        """Says whether a request repeats a BYE that was answered before its call ended here."""
        ended = self._ended.get(call_id)
        return request.method == "BYE" and ended is not None and request_key(request) in ended.byes

    def refusal_of(self, call_id: CallId) -> int | None:
        """What an INVITE gets that made a call which ended here: the same id is the same call."""
        ended = self._ended.get(call_id)
        return None if ended is None else ended.refusal

    def is_pending(self, call_id: CallId) -> bool:
        """Says whether a call is being admitted."""
        return call_id in self._pending

    @property
    def pending_count(self) -> int:
        """Calls that are being admitted."""
        return len(self._pending)

    def bind(self, call_id: CallId, dialog: BindDialog) -> None:
        """In-dialog messages with this Call-ID and tag are for that leg, until `remove`."""
        key = (dialog.sip_call_id, dialog.local_tag)
        self._by_dialog[key] = LegAddress(self._by_id[call_id], dialog.leg)
        self._dialogs.setdefault(call_id, {})[key] = None

    def _unbind(self, call_id: CallId, mailbox: Mailbox | None) -> None:
        # What was bound anew by who took the call over stays.
        bound = self._dialogs.get(call_id, {})
        for key in [each for each in bound if self._by_dialog[each].mailbox is mailbox]:
            del bound[key], self._by_dialog[key]
        if not bound:
            self._dialogs.pop(call_id, None)

    def get(self, call_id: CallId) -> Mailbox | None:
        """The call of this id."""
        return self._by_id.get(call_id)

    def find(self, request: Request) -> LegAddress | None:
        """The leg that an in-dialog request is for (RFC 3261 12.2.2).

        Its route is a token that an edge has verified, and must be of this very call: with that of
        another one a stranger who knows the dialog could speak in it. The leg itself compares the
        remote tag, which it knows when its turn comes.
        """
        address = self.find_dialog(request)
        if address is None or address.mailbox.call_id != request.get(CALL_HEADER):
            return None
        return address

    def find_dialog(self, request: Request) -> LegAddress | None:
        """The leg with this Call-ID and local tag, for a CANCEL, which has no token."""
        return self._by_dialog.get((request.call_id, request.to.tag or ""))

    def made_by(self, message: Message) -> CallId | None:
        """The call that an INVITE with this Call-ID, From tag and CSeq number makes or made."""
        return self._by_invite.get(request_key(message))

    async def look_at_all(self, *, is_doubted: bool = False) -> None:
        """Lets every call find out whether it is still ours, some at a time.

        Args:
            is_doubted: also those that the lease says nobody can have.
        """
        mailboxes = list(self._by_id.values())
        for start in range(0, len(mailboxes), _AT_ONCE):
            batch = mailboxes[start : start + _AT_ONCE]
            for mailbox in batch:
                if is_doubted:
                    mailbox.doubt()
                else:
                    mailbox.look_again()
            for _ in range(_PAUSES):
                if not any(mailbox.is_busy for mailbox in batch):
                    break
                await asyncio.sleep(_PAUSE_S)

    async def wait_idle(self) -> None:
        """Returns when there is no call."""
        await self._idle.wait()
