"""A stage for the pure call core: what phones and relay do is a script, time is a number."""

from collections.abc import Callable, Sequence
from typing import Any

from parley.callmanager.actions import (
    CancelRequest,
    EndCall,
    MediaCommand,
    MediaPurpose,
    PublishEvents,
    SendAck,
    SendRequest,
    SendResponse,
    WriteSnapshot,
)
from parley.callmanager.call import Call
from parley.callmanager.call_setup import CallSetup
from parley.callmanager.invite import make_identity
from parley.callmanager.journal import Parties
from parley.callmanager.routing import Decision, RingTargets, Target
from parley.callmanager.snapshot import decode_snapshot, encode_snapshot
from parley.model.call import CallRecord
from parley.model.events import decode_event
from parley.model.ids import CallId, InstanceId, TenantId
from parley.model.media import (
    LegPorts,
    LocalStream,
    OpenSession,
    RelayDraining,
    Reply,
    ReplyError,
    SessionLost,
    StreamStats,
    UpdateSession,
)
from parley.sip.message import Request, Response, response_to
from parley.testkit.ids import CountingIds

RELAY_IP = "203.0.113.9"
WALL_S = 1_700_000_000.0


def sdp(ip: str, port: int = 4000, direction: str = "sendrecv", media: int = 1) -> bytes:
    lines = ["v=0", f"o=- 1 1 IN IP4 {ip}", "s=-", f"c=IN IP4 {ip}", "t=0 0"]
    for index in range(media):
        kind = "audio" if index == 0 else "video"
        lines += [f"m={kind} {port + 2 * index} RTP/AVP 0", f"a={direction}"]
    return ("\r\n".join(lines) + "\r\n").encode()


OFFER = sdp("192.0.2.1", 4000)
ANSWER = sdp("192.0.2.2", 5000)


class Stage:
    """Plays one call and remembers everything that leaves it, in order."""

    def __init__(
        self,
        decision: Decision,
        body: bytes = OFFER,
        refuse: Sequence[MediaPurpose] = (),
        silent: Sequence[MediaPurpose] = (),
        refusal: ReplyError = ReplyError.PORTS_EXHAUSTED,
        *,
        is_bus_away: bool = False,
        **headers: str,
    ) -> None:
        self.now = 100.0
        self.log: list[Any] = []
        self.media_commands: list[Any] = []
        self.refuse = set(refuse)
        self.silent = set(silent)
        self.refusal = refusal
        self.waiting_media: list[MediaCommand] = []
        self.writes: list[bytes] = []
        self.published: list[bytes] = []
        self.ended = 0
        self.is_bus_away = is_bus_away
        self.relays = ["r1"]
        self.sessions: set[tuple[str, str]] = set()
        self.ids = CountingIds()
        self.invite = self.make_invite(body, **headers)
        self.invite_transaction = object()
        self.decision = decision
        self.begin()

    @property
    def wall_s(self) -> float:
        return WALL_S + self.now - 100.0

    def begin(self) -> None:
        setup = CallSetup(
            parties=Parties(
                CallId("call1"),
                TenantId("t1"),
                InstanceId("cm-1"),
                "1001",
                "1002",
                "1002",
            ),
            domain="demo.test",
            product="Parley",
            ids=self.ids,
            transaction=self.invite_transaction,
            request=self.invite,
            identity=make_identity(
                self.invite, caller="1001", name="Ann", callee="1002", domain="demo.test"
            ),
            media_timeout_s=60.0,
            max_duration_s=3600.0,
        )
        self.call = Call(setup, self.now, self.wall_s)
        self.call.start(self.decision, self.now)
        self.run()

    def make_invite(self, body: bytes, **headers: str) -> Request:
        request = Request("INVITE", "sip:1002@demo.test")
        request.add("via", "SIP/2.0/LOCAL edge;branch=z9hG4bKa1")
        request.add("from", '"Ann" <sip:1001@demo.test>;tag=atag')
        request.add("to", "<sip:1002@demo.test>")
        request.add("call-id", "a-call-id")
        request.add("cseq", "1 INVITE")
        request.add("contact", "<sip:1001@192.0.2.1:5060>")
        request.add("record-route", "<sip:tok@edge;transport=local;lr>")
        request.add("max-forwards", "69")
        request.add("x-parley-source", "198.51.100.7")
        if body:
            request.add("content-type", "application/sdp")
            request.body = body
        for name, value in headers.items():
            request.set(name.replace("_", "-"), value)
        return request

    # --- running ---------------------------------------------------------------------------

    def run(self) -> None:
        while actions := self.call.out.take():
            for action in actions:
                self.log.append(action)
                self._act(action)

    def _act(self, action: Any) -> None:
        if isinstance(action, WriteSnapshot):
            data = encode_snapshot(self.call)
            decode_snapshot(data)
            self.writes.append(data)
            self.call.parts.journal.note_written()
        elif isinstance(action, PublishEvents) and not self.is_bus_away:
            journal = self.call.parts.journal
            for event in journal.unpublished:
                self.published.append(event.data)
                journal.mark_published(event.sequence)
        elif isinstance(action, MediaCommand):
            self.media_commands.append(action.command)
            if action.purpose in self.silent:
                self.waiting_media.append(action)
            else:
                self.reply(action)
        elif isinstance(action, EndCall):
            self.ended += 1

    def reply(self, action: MediaCommand) -> None:
        command = action.command
        if action.purpose in self.refuse:
            reply = Reply(command.session_id, False, self.refusal)
            self.feed(self.call.receive_media, action.purpose, reply)
            return
        ports = []
        stats = []
        # A new session goes to the newest relay; each has ports of its own.
        relay = self.relays[-1] if isinstance(command, OpenSession) else command.relay
        if isinstance(command, UpdateSession) and (relay, "call1") not in self.sessions:
            reply = Reply(command.session_id, False, ReplyError.UNKNOWN_SESSION)
            self.feed(self.call.receive_media, action.purpose, reply)
            return
        if isinstance(command, OpenSession | UpdateSession):
            self.sessions.add((relay, command.session_id))
            for leg in command.legs:
                base = (20000 if leg.leg == "a" else 30000) + 1000 * self.relays.index(relay)
                ports.append(
                    LegPorts(
                        leg.leg,
                        [
                            LocalStream(
                                s.index, RELAY_IP, base + 2 * s.index, base + 2 * s.index + 1
                            )
                            for s in leg.streams
                        ],
                    )
                )
        else:
            self.sessions.discard((relay, command.session_id))
            stats = [StreamStats("a", 0, packets_received=50), StreamStats("b", 0)]
        self.feed(
            self.call.receive_media,
            action.purpose,
            Reply(command.session_id, True, None, "", ports, stats, relay),
        )

    def lose_relay(self, successor: str) -> None:
        """The relay of all sessions dies; new ones go to another."""
        dead = self.call.parts.media.relay or self.relays[-1]
        self.relays.append(successor)
        self.sessions = {each for each in self.sessions if each[0] != dead}
        self.feed(self.call.receive_media_event, SessionLost("call1", "it died", dead))

    def drain_relay(self, successor: str) -> None:
        """The relay of all sessions is about to end; new ones go to another."""
        draining = self.call.parts.media.relay or self.relays[-1]
        self.relays.append(successor)
        self.feed(self.call.receive_media_event, RelayDraining("call1", draining))

    def feed(self, function: Callable[..., None], *arguments: Any) -> None:
        function(*arguments, self.now)
        self.run()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.feed(self.call.handle_timeout)

    # --- the caller ------------------------------------------------------------------------

    def responses_to(self, transaction: object) -> list[Response]:
        return [
            action.response
            for action in self.log
            if isinstance(action, SendResponse) and action.transaction is transaction
        ]

    @property
    def to_caller(self) -> list[Response]:
        return self.responses_to(self.invite_transaction)

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.to_caller]

    def cancel(self, **headers: str) -> None:
        request = self.invite.copy()
        for name, value in headers.items():
            request.set(name, value)
        self.feed(self.call.receive_cancel, self.invite_transaction, request)

    def from_caller(
        self, method: str, body: bytes = b"", cseq: int = 2, content_type: str = "application/sdp"
    ) -> Request:
        request = Request(method, "sip:call1@demo.test")
        tag = self.call.parts.caller.tag
        request.add("via", f"SIP/2.0/LOCAL edge;branch=z9hG4bKa{cseq}{method}")
        request.add("from", '"Ann" <sip:1001@demo.test>;tag=atag')
        request.add("to", f"<sip:1002@demo.test>;tag={tag}")
        request.add("call-id", "a-call-id")
        request.add("cseq", f"{cseq} {method}")
        request.add("contact", "<sip:1001@192.0.2.1:5060>")
        if body:
            request.add("content-type", content_type)
            request.body = body
        return request

    def ack(self, body: bytes = b"", cseq: int = 1) -> None:
        request = self.from_caller("ACK", body, cseq)
        self.feed(self.call.receive_ack, "a", request)

    def caller_sends(
        self, method: str, body: bytes = b"", cseq: int = 2, content_type: str = "application/sdp"
    ) -> object:
        request = self.from_caller(method, body, cseq, content_type)
        return self.ask("a", request)

    def ask(self, leg: str, request: Request) -> object:
        """A phone's request arrives in a transaction of its own."""
        transaction = object()
        self.feed(self.call.receive_request, leg, transaction, request)
        return transaction

    # --- the phones ------------------------------------------------------------------------

    def requests(self, method: str) -> list[SendRequest]:
        return [
            action
            for action in self.log
            if isinstance(action, SendRequest) and action.request.method == method
        ]

    @property
    def acks(self) -> list[SendAck]:
        return [action for action in self.log if isinstance(action, SendAck)]

    @property
    def cancels(self) -> list[CancelRequest]:
        return [action for action in self.log if isinstance(action, CancelRequest)]

    def answer(
        self,
        sent: SendRequest,
        status: int,
        body: bytes = b"",
        tag: str = "btag",
        **headers: str,
    ) -> None:
        response = response_to(sent.request, status, to_tag=f"{tag}{sent.key}")
        response.prepend("via", f"SIP/2.0/LOCAL callmanager;branch={sent.branch}")
        if 100 < status < 300:
            response.add("contact", f"<sip:1002@192.0.2.{sent.key + 1}:5070>")
        if body:
            response.add("content-type", "application/sdp")
            response.body = body
        for name, value in headers.items():
            response.set(name.replace("_", "-"), value)
        self.receive(sent, response)

    def receive(self, sent: SendRequest, response: Response) -> None:
        """A response arrives in the transaction of this request."""
        self.feed(self.call.receive_response, sent.key, response)

    def fail(self, sent: SendRequest, cause: str = "timeout") -> None:
        self.feed(self.call.receive_failure, sent.key, cause)

    def callee_sends(
        self, method: str, body: bytes = b"", cseq: int = 1, leg: str = "b1", **headers: str
    ) -> object:
        request = self.from_callee(method, body, cseq, leg)
        for name, value in headers.items():
            request.set(name.replace("_", "-"), value)
        return self.ask(leg, request)

    def from_callee(
        self, method: str, body: bytes = b"", cseq: int = 1, leg: str = "b1"
    ) -> Request:
        invite = self.requests("INVITE")[int(leg[1:]) - 1]
        sent = invite.request
        request = Request(method, "sip:call1@demo.test")
        request.add("via", f"SIP/2.0/LOCAL edge;branch=z9hG4bK{leg}{cseq}{method}")
        request.add("from", f"{sent.get('to')};tag=btag{invite.key}")
        request.add("to", sent.get("from") or "")
        request.add("call-id", sent.call_id)
        request.add("cseq", f"{cseq} {method}")
        request.add("contact", "<sip:1002@192.0.2.2:5070>")
        if body:
            request.add("content-type", "application/sdp")
            request.body = body
        return request

    # --- what came of it -------------------------------------------------------------------

    @property
    def events(self) -> list[str]:
        return [decode_event(data).type for data in self.published]

    @property
    def records(self) -> list[CallRecord]:
        events = [decode_event(data) for data in self.published]
        return [event.data for event in events if event.type == "call.ended"]  # type: ignore[attr-defined]  # of CallEnded

    def is_over(self) -> bool:
        return self.ended == 1 and not self.sessions and not self.call.out.deadlines

    def establish(self) -> None:
        """Brings the call to the conversation."""
        invite = self.requests("INVITE")[0]
        self.answer(invite, 180)
        self.answer(invite, 200, ANSWER)
        self.ack()


def targets(count: int = 1, alternates: int = 0) -> RingTargets:
    made: list[Target] = []
    for n in range(1, count + 1):
        others = tuple(
            Target(f"sip:1002@192.0.2.{n + 1}:{6000 + i}", ("<sip:o@edge;transport=local;lr>",), "")
            for i in range(alternates)
        )
        made.append(
            Target(
                f"sip:1002@192.0.2.{n + 1}:5070",
                ("<sip:path@edge;transport=local;lr>",),
                f"198.51.100.{n}",
                InstanceId("edge-1"),
                others,
            )
        )
    return RingTargets("1002", "Bob", tuple(made), 30.0)
