"""Where the parts of a call put what shall be done, and how long they wait."""

from enum import StrEnum
from math import ceil
from typing import Any, Final

from msgspec import Struct

from parley.callmanager.actions import (
    PUBLISH_EVENTS,
    WRITE_SNAPSHOT,
    Action,
    CancelRequest,
    MediaCommand,
    MediaPurpose,
    SendAck,
    SendRequest,
    SendResponse,
)
from parley.callmanager.branches import request_branch
from parley.callmanager.sip_profile import with_vias_of
from parley.model.media import Command
from parley.sip.hop import Hop
from parley.sip.message import Request, Response

JOIN_WRITE_S: Final = 0.2
"""How long what need not be written at once waits for a write that goes out anyway, at least."""
_JOIN_GRID_S: Final = 0.1
"""Calls that wait end their waiting at the same moments, so that their writes share a batch."""
_FINAL: Final = 200


class Deadline(StrEnum):
    """What a call waits for; at most one deadline of each kind."""

    RING = "ring"
    DURATION = "duration"
    JOIN_WRITE = "join-write"
    REHOME = "rehome"
    LINGER = "linger"


class Purpose(StrEnum):
    """Which part of the call a request of ours belongs to, and so its responses."""

    INVITE = "invite"
    RENEGOTIATION = "renegotiation"
    REHOMING = "rehoming"
    PASSED_ON = "passed-on"
    SILENCE = "silence"
    BYE = "bye"
    CANCEL = "cancel"


class SentRequest(Struct, frozen=True):
    """A request of ours.

    Attributes:
        leg: id of the leg that it went to; empty for a dialog that no leg stands for.
        epoch: of the ownership under which it left first; a part of its branch.
        request, hop: None when a predecessor sent it and it will not be sent again.
    """

    purpose: Purpose
    leg: str
    epoch: int
    request: Request | None = None
    hop: Hop | None = None


class Outputs:
    """The queue of actions, the names of requests under way and the deadlines of one call.

    No request leaves that is not written: the first one of a step brings a barrier when the step
    has none yet. (A write holds the state after the whole step, so one barrier serves it.)

    Attributes:
        deadlines: until when the call waits, by what for.
        requests: every request whose responses are still of interest, by its key.
        last_key: the key that was given last.
    """

    __slots__ = (
        "_call_id",
        "_epoch",
        "_has_barrier",
        "_superseded",
        "actions",
        "deadlines",
        "last_key",
        "requests",
    )

    def __init__(self, call_id: str, epoch: int) -> None:
        self.actions: list[Action] = []
        self.deadlines: dict[Deadline, float] = {}
        self.requests: dict[int, SentRequest] = {}
        self.last_key = 0
        self._call_id = call_id
        self._epoch = epoch
        self._has_barrier = False
        # By the transaction that is answered now: others of the same request, with their copies.
        self._superseded: dict[Any, list[tuple[Any, Request]]] = {}

    def take(self) -> list[Action]:
        """Hands over what is to be done and starts a new list."""
        actions = self.actions
        self.actions = []
        self._has_barrier = False
        return actions

    def send_request(self, request: Request, hop: Hop, purpose: Purpose, leg: str) -> int:
        """Sends a request in a transaction; returns the name by which responses come back."""
        if not self._has_barrier:
            self.write()
        self.last_key = key = self.last_key + 1
        self.requests[key] = SentRequest(purpose, leg, self._epoch, request, hop)
        branch = request_branch(self._call_id, self._epoch, key)
        self.actions.append(SendRequest(key, request, hop, branch))
        return key

    def answered(self, key: int, response: Response) -> SentRequest | None:
        """The request of this key if that is what a response answers.

        A key alone says little where no transaction has matched: a CANCEL shares the branch of its
        INVITE (RFC 3261 17.1.3 asks for the method, too), and a key that was given and not written
        may have been given again under a later epoch.
        """
        sent = self.requests.get(key)
        if sent is None:
            return None
        method = response.cseq.method
        if sent.purpose is Purpose.CANCEL:
            return sent if method == "CANCEL" else None
        asked = sent.request
        is_same = method != "CANCEL" if asked is None else method == asked.method
        branch = request_branch(self._call_id, sent.epoch, key)
        return sent if is_same and response.via.branch == branch else None

    def send_again(self, key: int) -> None:
        """Sends a request once more as it was: to the next element a retransmission."""
        sent = self.requests[key]
        if sent.request is not None and sent.hop is not None:
            branch = request_branch(self._call_id, sent.epoch, key)
            self.actions.append(SendRequest(key, sent.request, sent.hop, branch))

    def send_cancel(self, key: int, cancel: Request, leg: str) -> None:
        """Cancels an INVITE that left from another instance, whose transaction is not here.

        A CANCEL belongs to the INVITE with its branch (RFC 3261 9.1, 17.2.3).
        """
        sent = self.requests[key]
        if sent.hop is None:
            return
        self.last_key += 1
        self.requests[self.last_key] = SentRequest(Purpose.CANCEL, leg, sent.epoch)
        branch = request_branch(self._call_id, sent.epoch, key)
        self.actions.append(SendRequest(self.last_key, cancel, sent.hop, branch))

    def cancel(self, key: int, reason: str | None) -> None:
        """Cancels a request, with a Reason when there is one (RFC 3326)."""
        headers = (("reason", reason),) if reason else ()
        self.actions.append(CancelRequest(key, headers))

    def send_ack(self, request: Request, hop: Hop) -> None:
        """Acknowledges a 2xx."""
        self.actions.append(SendAck(request, hop))

    def respond(self, transaction: Any, response: Response, *, until_ack: bool = False) -> None:
        """Answers a request; a 2xx to an INVITE is repeated until its ACK.

        Without a transaction nobody waits for it: the request came to a predecessor long ago.
        """
        if transaction is None:
            return
        self.actions.append(SendResponse(transaction, response, until_ack))
        if self._superseded and response.status >= _FINAL:
            for older, request in self._superseded.pop(transaction, ()):
                self.actions.append(SendResponse(older, with_vias_of(request, response)))

    def supersede(self, older: Any, request: Request, newer: Any) -> None:
        """A request came again by another way, which is answered from now on.

        The older transaction, in which it came as `request`, gets the same final response: it ends
        too.
        """
        if older is not newer and older is not None:
            earlier = self._superseded.pop(older, [])
            self._superseded[newer] = [*earlier, (older, request)]

    def command(self, purpose: MediaPurpose, command: Command) -> None:
        """Tells the relay."""
        self.actions.append(MediaCommand(purpose, command))

    def write(self) -> None:
        """Barrier: nothing added after this happens before the state is written."""
        self.actions.append(WRITE_SNAPSHOT)
        self._has_barrier = True
        self.deadlines.pop(Deadline.JOIN_WRITE, None)

    def join_write(self, now: float) -> None:
        """What changed is written with the next barrier, soon at the latest."""
        at = ceil((now + JOIN_WRITE_S) / _JOIN_GRID_S) * _JOIN_GRID_S
        self.deadlines.setdefault(Deadline.JOIN_WRITE, at)

    def claimed(self) -> None:
        """The state that this step acts for is written: a claim was the write."""
        self._has_barrier = True

    def publish(self) -> None:
        """Lets the events of the last write go to the bus."""
        self.actions.append(PUBLISH_EVENTS)

    def set_deadline(self, kind: Deadline, at: float) -> None:
        """Waits until a time; replaces an earlier deadline of that kind."""
        self.deadlines[kind] = at

    def clear_deadline(self, kind: Deadline) -> None:
        """Waits no more."""
        self.deadlines.pop(kind, None)
