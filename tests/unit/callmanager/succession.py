"""A call whose owner may die at any moment, and what edges and phones do about it.

Whoever is dead hears nothing. The successor gets the state as it was last written, and what has no
answer comes again: requests of phones (unless the successor adopted their transactions), what was
said to a request that is repeated under its old branch, 2xx and refusals without ACK, ACKs to a
2xx that is repeated.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from parley.callmanager.actions import Action, SendAck, SendRequest, SendResponse
from parley.callmanager.branches import read_branch
from parley.callmanager.restore import RestoreContext, restore_call
from parley.callmanager.snapshot import decode_snapshot
from parley.model.call import CallRecord
from parley.model.events import decode_event
from parley.model.ids import InstanceId
from parley.sip.errors import RemoteProtocolError
from parley.sip.message import Request, Response, response_to
from parley.testkit.ids import CountingIds

from .stage import WALL_S, Stage, targets

Key = tuple[str, str]


class Asked(NamedTuple):
    """A phone's request, as its edge remembers it."""

    leg: str
    request: Request
    transaction: object


class Told(NamedTuple):
    """What a phone said to a request of ours."""

    sent: SendRequest
    response: Response


class At(NamedTuple):
    """The owner dies before its n-th action of this kind, with this method or status."""

    kind: type = object
    method: str = ""
    status: int = 0
    nth: int = 1

    def matches(self, action: Any) -> bool:
        return (
            isinstance(action, self.kind)
            and self.method in ("", getattr(getattr(action, "request", None), "method", ""))
            and self.status in (0, getattr(getattr(action, "response", None), "status", 0))
        )


def key_of(request: Request) -> Key:
    return request.via.branch or "", request.method


class Succession(Stage):
    """Plays one call over several owners."""

    def __init__(self, *arguments: Any, kill: At | None = None, **more: Any) -> None:
        self.hits = 0
        self.kill = kill
        self.is_dead = False
        self.epoch = 1
        self.since = 0
        self.offset_s = WALL_S - 100.0
        self.asked: dict[Key, Asked] = {}
        self.cancelled: dict[Key, Request] = {}
        self.known: set[Key] = set()
        self.told: dict[Key, Told] = {}
        self.live: set[Key] = set()
        self.given_acks: dict[tuple[str, int], Request] = {}
        super().__init__(*arguments, **more)

    def begin(self) -> None:
        key = key_of(self.invite)
        self.asked[key] = Asked("a", self.invite, self.invite_transaction)
        self.known.add(key)
        super().begin()

    @property
    def wall_s(self) -> float:
        return self.offset_s + self.now

    # --- life and death --------------------------------------------------------------------

    def run(self) -> None:
        while not self.is_dead and (actions := self.call.out.take()):
            for action in actions:
                if self.is_dead:
                    return
                if self.dies_before(action):
                    return
                self.log.append(action)
                self._act(action)

    def dies_before(self, action: Action) -> bool:
        if self.kill is not None and not self.ended and self.kill.matches(action):
            self.hits += 1
            self.is_dead = self.hits == self.kill.nth
        return self.is_dead

    def feed(self, function: Callable[..., None], *arguments: Any) -> None:
        if not self.is_dead:
            # Of the present owner, whoever was meant.
            method = getattr(self.call, function.__name__)
            super().feed(method, *arguments)

    def take_over(self, delay_s: float = 0.5, *, wall_jump_s: float = 0.0) -> None:
        """The owner is dead; another instance, whose clock shows another time, goes on."""
        wall_s = self.wall_s + delay_s + wall_jump_s
        self.now += 5000.0 + delay_s
        self.offset_s = wall_s - self.now
        self.epoch += 1
        self.kill, self.hits, self.is_dead = None, 0, False
        self.since = len(self.log)
        self.known.clear()
        self.live.clear()
        self.waiting_media.clear()
        if not self.writes:
            # Nobody ever heard of the call: the edge sends the INVITE elsewhere, as a new one.
            self.begin()
        else:
            context = RestoreContext(InstanceId(f"cm-{self.epoch}"), "Parley", self.ids, self.adopt)
            snapshot = decode_snapshot(self.writes[-1])
            self.call = restore_call(snapshot, context, self.epoch, self.now, wall_s)
            self.run()
        self.repeat()

    def adopt(self, request: Request) -> object:
        key = key_of(request)
        self.known.add(key)
        return self.asked[key].transaction

    # --- what comes again ------------------------------------------------------------------

    def repeat(self) -> None:
        for key, asked in list(self.asked.items()):
            if key not in self.known and not self.finals(asked.transaction):
                self.known.add(key)
                self.deliver(asked)
        for key, cancel in list(self.cancelled.items()):
            transaction = self.asked[key].transaction
            if not self.finals(transaction):
                self.feed(self.call.receive_cancel, transaction, cancel)
        for key, told in list(self.told.items()):
            is_needed = told.response.status >= 200 and key[1] == "INVITE"
            if key in self.live or (is_needed and not self.is_acknowledged(told)):
                self.hand_over(told)

    def deliver(self, asked: Asked) -> None:
        if asked.request.to.tag is None:
            self.feed(self.call.receive_repeated_invite, asked.transaction, asked.request)
        else:
            self.feed(self.call.receive_request, asked.leg, asked.transaction, asked.request)

    def is_live(self, sent: SendRequest) -> bool:
        """Whether the present owner has the client transaction."""
        return not self.is_dead and (sent.branch, sent.request.method) in self.live

    def hand_over(self, told: Told) -> None:
        if self.is_live(told.sent):
            super().receive(told.sent, told.response)
        else:
            self.stray(told.response)

    def stray(self, response: Response) -> None:
        """A response of no transaction: its call and request are those that its branch names."""
        branch = read_branch(response.via.branch or "")
        if branch is not None:
            self.feed(self.call.receive_response, branch.key, response)

    def is_acknowledged(self, told: Told) -> bool:
        """Of a 2xx; a refusal is acknowledged by the transaction that asked, if it is there."""
        response = told.response
        return any(
            isinstance(action, SendAck)
            and action.request.call_id == response.call_id
            and action.request.to.tag == response.to.tag
            and action.request.cseq.number == response.cseq.number
            for action in self.log
        )

    # --- phones and edges ------------------------------------------------------------------

    def ask(self, leg: str, request: Request) -> object:
        key = key_of(request)
        asked = self.asked[key] = Asked(leg, request, object())
        if not self.is_dead:
            self.known.add(key)
        self.deliver(asked)
        return asked.transaction

    def receive(self, sent: SendRequest, response: Response) -> None:
        self.told[sent.branch, sent.request.method] = told = Told(sent, response)
        self.hand_over(told)

    def fail(self, sent: SendRequest, cause: str = "timeout") -> None:
        if self.is_live(sent):
            super().fail(sent, cause)

    def cancel(self, **headers: str) -> None:
        self.give_up(self.invite_transaction)

    def give_up(self, transaction: object) -> None:
        """The phone cancels its INVITE or re-INVITE."""
        for key, asked in self.asked.items():
            if asked.transaction is transaction:
                self.cancelled[key] = Request("CANCEL", asked.request.uri_text)
                self.feed(self.call.receive_cancel, transaction, self.cancelled[key])

    def ack(self, body: bytes = b"", cseq: int = 1) -> None:
        self.given_acks["a", cseq] = self.from_caller("ACK", body, cseq)
        super().ack(body, cseq)

    def ack_of_callee(self, cseq: int) -> None:
        ack = self.given_acks["b1", cseq] = self.from_callee("ACK", cseq=cseq)
        self.feed(self.call.receive_ack, "b1", ack)

    def _act(self, action: Action) -> None:
        super()._act(action)
        if isinstance(action, SendRequest):
            method = action.request.method
            self.live.add((action.branch, method))
            if method == "CANCEL":
                told = self.told.get((action.branch, "INVITE"))
                is_late = told is not None and told.response.status >= 200
                self.feed(
                    self.call.receive_response,
                    action.key,
                    response_to(action.request, 481 if is_late else 200),
                )
        elif isinstance(action, SendResponse) and action.until_ack:
            self._acknowledge_again(action)

    def _acknowledge_again(self, action: SendResponse) -> None:
        for asked in self.asked.values():
            if asked.transaction is action.transaction:
                ack = self.given_acks.get((asked.leg, asked.request.cseq.number))
                if ack is not None:
                    self.feed(self.call.receive_ack, asked.leg, ack)

    # --- what came of it -------------------------------------------------------------------

    def finals(self, transaction: object) -> list[int]:
        return [r.status for r in self.responses_to(transaction) if r.status >= 200]

    def requests(self, method: str) -> list[SendRequest]:
        """Without those that were only repeated."""
        return list({sent.branch: sent for sent in super().requests(method)}.values())

    @property
    def records(self) -> list[CallRecord]:
        ended = {}
        for data in self.published:
            event = decode_event(data)
            if event.type == "call.ended":
                ended[event.id] = event.data  # type: ignore[attr-defined]  # of CallEnded
        return list(ended.values())

    def hang_up(self) -> None:
        """Both phones answer every BYE that they got."""
        for bye in self.requests("BYE"):
            if (bye.branch, "BYE") not in self.told:
                self.answer(bye, 200)

    def assert_consistent(self) -> None:
        """Nobody noticed anything."""
        self._assert_events()
        for asked in self.asked.values():
            assert len(set(self.finals(asked.transaction))) == 1, asked.request
        self._assert_requests()
        for versions in self._versions():
            numbers = [number for number, _ in versions]
            assert numbers == sorted(numbers)
            assert len(dict(versions)) == len(set(versions)), "one version, two contents"

    def _assert_events(self) -> None:
        events: dict[str, bytes] = {}
        for data in self.published:
            event = decode_event(data)
            assert events.setdefault(event.id, data) == data, "one event, two contents"
        assert list(events) == [f"call1-{n}" for n in range(1, len(events) + 1)]
        assert len(self.records) == 1

    def _assert_requests(self) -> None:
        """A branch is one request; within a dialog later ones have higher numbers."""
        numbers: dict[tuple[str, str], int] = {}
        seen: dict[Key, bytes] = {}
        for action in self.log:
            if not isinstance(action, SendRequest):
                continue
            request = action.request
            key = (action.branch, request.method)
            if key in seen:
                assert seen[key] == bytes_of(request)
                continue
            seen[key] = bytes_of(request)
            if request.method != "CANCEL":
                dialog = (request.call_id, request.to.tag or "")
                assert request.cseq.number > numbers.get(dialog, 0), request
                numbers[dialog] = request.cseq.number

    def _versions(self) -> Iterator[list[tuple[int, bytes]]]:
        """Of each dialog the descriptions we told, as they came up; a repeated ACK is no news."""
        told: dict[str, list[tuple[int, bytes]]] = {}
        for action in self.log:
            message: Request | Response | None = None
            if isinstance(action, SendRequest | SendAck):
                message = action.request
            elif isinstance(action, SendResponse):
                message = action.response
            if message is None or message.cseq.method in ("INFO", "MESSAGE"):
                continue
            if message.body.startswith(b"v=0"):
                version = int(message.body.split(b"o=")[1].split()[2])
                known = told.setdefault(message.call_id, [])
                if (version, message.body) not in known:
                    known.append((version, message.body))
        yield from told.values()


def bytes_of(request: Request) -> bytes:
    names = request.header_names()
    lines = [f"{name}:{value}" for name in names for value in request.get_all(name)]
    lines.insert(0, request.start_line)
    return "\n".join(lines).encode() + request.body


def context(adopted: list[Request] | None = None) -> RestoreContext:
    def adopt(request: Request) -> object:
        if adopted is None:
            raise RemoteProtocolError("its Via leads nowhere")
        adopted.append(request)
        return object()

    return RestoreContext(InstanceId("cm-2"), "Parley", CountingIds(), adopt)


def kinds_after(stage: Succession) -> list[type]:
    return [type(action) for action in stage.log[stage.since :]]


def talk(count: int = 1) -> Succession:
    stage = Succession(targets(count))
    stage.establish()
    return stage
