"""The calls that this instance owns, found by id, by dialog and by the INVITE that made them."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from parley.callmanager.metrics import CallManagerMetrics
from parley.model.ids import CallId
from parley.sip.message import Message, Request

if TYPE_CHECKING:
    from parley.callmanager.mailbox import Mailbox

InviteKey = tuple[str, str | None, int]


class LegAddress(NamedTuple):
    """A leg of a call."""

    mailbox: "Mailbox"
    leg: str


def invite_key(request: Request) -> InviteKey:
    """What two copies of one INVITE share, whatever way they came (RFC 3261 8.2.2.2)."""
    return request.call_id, request.from_.tag, request.cseq.number


class Calls:
    """The registry; everything a call binds is unbound with it."""

    def __init__(self, metrics: CallManagerMetrics) -> None:
        self._metrics = metrics
        self._by_id: dict[CallId, Mailbox] = {}
        self._by_dialog: dict[tuple[str, str], LegAddress] = {}
        self._by_invite: dict[InviteKey, CallId] = {}
        self._pending: set[CallId] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._by_id) + len(self._pending)

    def __iter__(self) -> Iterator["Mailbox"]:
        return iter(list(self._by_id.values()))

    def begin(self, call_id: CallId, request: Request) -> bool:
        """Notes a call that is being admitted; False when it, or its INVITE, is there already."""
        key = invite_key(request)
        if call_id in self._by_id or call_id in self._pending or key in self._by_invite:
            return False
        self._pending.add(call_id)
        self._by_invite[key] = call_id
        self._idle.clear()
        return True

    def add(self, call_id: CallId, mailbox: "Mailbox") -> None:
        """The call was admitted."""
        self._pending.discard(call_id)
        self._by_id[call_id] = mailbox
        self._metrics.started.inc()
        self._metrics.calls.inc()

    def remove(self, call_id: CallId, request: Request) -> None:
        """The call is over, or was not admitted."""
        self._pending.discard(call_id)
        self._by_invite.pop(invite_key(request), None)
        if self._by_id.pop(call_id, None) is not None:
            self._metrics.calls.dec()
        if not self._by_id and not self._pending:
            self._idle.set()

    def bind(self, sip_call_id: str, local_tag: str, address: LegAddress) -> None:
        """In-dialog messages with this Call-ID and tag are for that leg."""
        self._by_dialog[sip_call_id, local_tag] = address

    def unbind(self, sip_call_id: str, local_tag: str) -> None:
        """No more."""
        self._by_dialog.pop((sip_call_id, local_tag), None)

    def get(self, call_id: CallId) -> "Mailbox | None":
        """The call of this id."""
        return self._by_id.get(call_id)

    def find(self, message: Message) -> LegAddress | None:
        """The leg that an in-dialog request is for."""
        return self._by_dialog.get((message.call_id, message.to.tag or ""))

    async def wait_idle(self) -> None:
        """Returns when there is no call."""
        await self._idle.wait()
