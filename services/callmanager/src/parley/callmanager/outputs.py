"""Where the parts of a call put what shall be done, and how long they wait."""

from enum import Enum
from typing import Any

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
from parley.model.media import Command
from parley.sip.hop import Hop
from parley.sip.message import Request, Response


class Deadline(Enum):
    """What a call waits for; at most one deadline of each kind."""

    RING = "ring"
    DURATION = "duration"
    JOIN_WRITE = "join-write"
    LINGER = "linger"


class Purpose(Enum):
    """Which part of the call a request of ours belongs to, and so its responses."""

    INVITE = "invite"
    RENEGOTIATION = "renegotiation"
    PASSED_ON = "passed-on"
    BYE = "bye"


class Outputs:
    """The queue of actions, the names of requests under way and the deadlines of one call.

    Attributes:
        requests: purpose and leg of every request that was sent, by its key.
    """

    __slots__ = ("_key", "actions", "deadlines", "requests")

    def __init__(self) -> None:
        self.actions: list[Action] = []
        self.deadlines: dict[Deadline, float] = {}
        self.requests: dict[int, tuple[Purpose, str]] = {}
        self._key = 0

    def take(self) -> list[Action]:
        """Hands over what is to be done and starts a new list."""
        actions = self.actions
        self.actions = []
        return actions

    def send_request(self, request: Request, hop: Hop, purpose: Purpose, leg: str) -> int:
        """Sends a request in a transaction; returns the name by which responses come back."""
        self._key += 1
        self.requests[self._key] = (purpose, leg)
        self.actions.append(SendRequest(self._key, request, hop))
        return self._key

    def cancel(self, key: int, reason: str | None) -> None:
        """Cancels a request, with a Reason when there is one (RFC 3326)."""
        headers = (("reason", reason),) if reason else ()
        self.actions.append(CancelRequest(key, headers))

    def send_ack(self, request: Request, hop: Hop) -> None:
        """Acknowledges a 2xx."""
        self.actions.append(SendAck(request, hop))

    def respond(self, transaction: Any, response: Response, *, until_ack: bool = False) -> None:
        """Answers a request; a 2xx to an INVITE is repeated until its ACK."""
        self.actions.append(SendResponse(transaction, response, until_ack))

    def command(self, purpose: MediaPurpose, command: Command) -> None:
        """Tells the relay."""
        self.actions.append(MediaCommand(purpose, command))

    def write(self) -> None:
        """Barrier: nothing added after this happens before the state is written."""
        self.actions.append(WRITE_SNAPSHOT)
        self.deadlines.pop(Deadline.JOIN_WRITE, None)

    def publish(self) -> None:
        """Lets the events of the last write go to the bus."""
        self.actions.append(PUBLISH_EVENTS)

    def set_deadline(self, kind: Deadline, at: float) -> None:
        """Waits until a time; replaces an earlier deadline of that kind."""
        self.deadlines[kind] = at

    def clear_deadline(self, kind: Deadline) -> None:
        """Waits no more."""
        self.deadlines.pop(kind, None)

    def next_timeout(self) -> float | None:
        """The earliest deadline."""
        return min(self.deadlines.values()) if self.deadlines else None
