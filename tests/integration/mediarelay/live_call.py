"""A call of the call manager's core between two phones with real media.

SIP is a script: a phone answers a re-INVITE as soon as it comes and sends its media to the address
in it from then on. Media commands go to real relays, RTP through their ports.
"""

import asyncio
import struct
from collections import deque
from typing import Any

from parley.backing.media.base import MediaControl, MediaUnavailable
from parley.callmanager.actions import EndCall, MediaCommand, SendRequest, SendResponse
from parley.callmanager.call import Call
from parley.callmanager.call_setup import CallSetup
from parley.callmanager.invite import make_identity
from parley.callmanager.journal import Parties
from parley.callmanager.routing import RingTargets, Target
from parley.model.ids import CallId, InstanceId, TenantId
from parley.sdp import parse_sdp, remote_streams
from parley.sip.message import Request, response_to
from parley.testkit.ids import CountingIds

INTERVAL_S = 0.01


class Phone(asyncio.DatagramProtocol):
    """Sends numbered packets and notes when which of the other's came."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, int]] = []
        self.target: tuple[str, int] | None = None
        self.sequence = 0
        self._transport: asyncio.DatagramTransport

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )

    def close(self) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        now = asyncio.get_running_loop().time()
        self.heard.append((now, struct.unpack_from("!H", data, 2)[0]))

    def send(self) -> None:
        if self.target is not None:
            self.sequence += 1
            header = struct.pack("!BBHII", 0x80, 0, self.sequence, self.sequence * 80, 7)
            self._transport.sendto(header + b"\xd5" * 80, self.target)

    @property
    def sdp(self) -> bytes:
        host, port = self._transport.get_extra_info("sockname")
        lines = ["v=0", f"o=- 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
        return "\r\n".join([*lines, f"m=audio {port} RTP/AVP 0", "a=sendrecv", ""]).encode()

    def hear_of(self, body: bytes) -> None:
        """Sends its media to where a description says."""
        [stream] = remote_streams(parse_sdp(body))
        self.target = (stream.ip, stream.rtp_port)

    def longest_gap_s(self, since: float) -> float:
        """The longest time without a packet after this moment."""
        times = [at for at, _ in self.heard if at >= since]
        before = max((at for at, _ in self.heard if at < since), default=since)
        return max((b - a for a, b in zip([before, *times], times, strict=False)), default=99.0)

    def missing(self, first: int, last: int) -> int:
        """Packets of the other phone in this range that never came."""
        return len(set(range(first, last + 1)) - {number for _, number in self.heard})


class LiveCall:
    """Runs the core as a mailbox does: one action after the other, replies before inputs."""

    def __init__(self, number: int, control: MediaControl) -> None:
        self.id = f"call{number}"
        self.a, self.b = Phone(), Phone()
        self.answer_after_s = 0.0
        self.is_over = asyncio.Event()
        self.moves = 0
        self._control = control
        self._inputs: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self._actions: deque[Any] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self._now = asyncio.get_running_loop().time
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Brings the call to the conversation."""
        await self.a.start()
        await self.b.start()
        request = self._invite()
        identity = make_identity(
            request, caller="1001", name="Ann", callee="1002", domain="demo.test"
        )
        parties = Parties(
            CallId(self.id), TenantId("t1"), InstanceId("cm-1"), "1001", "1002", "1002"
        )
        setup = CallSetup(
            parties=parties,
            domain="demo.test",
            product="Parley",
            ids=CountingIds(),
            transaction=object(),
            request=request,
            identity=identity,
            media_timeout_s=60.0,
            max_duration_s=3600.0,
        )
        self.call = Call(setup, self._now(), 1_700_000_000.0)
        target = Target(
            "sip:1002@192.0.2.2:5070", ("<sip:p@edge;transport=local;lr>",), "127.0.0.1"
        )
        self.call.start(RingTargets("1002", "Bob", (target,), 30.0), self._now())
        self._tasks.append(asyncio.create_task(self._run()))
        async with asyncio.timeout(5):
            while self.a.target is None or self.b.target is None:  # noqa: ASYNC110 - a script
                await asyncio.sleep(0.005)
        self._tasks.append(asyncio.create_task(self._talk()))

    def post(self, *message: Any) -> None:
        self._inputs.put_nowait(message)

    def hang_up(self) -> None:
        self.post(self.call.receive_request, "a", object(), self._request("BYE", 90))

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        self.a.close()
        self.b.close()

    # --- the core --------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self.is_over.is_set():
            self._actions.extend(self.call.out.take())
            while self._actions:
                await self._act(self._actions.popleft())
            self._arm()
            function, *arguments = await self._inputs.get()
            function(*arguments, self._now())

    async def _act(self, action: Any) -> None:
        if isinstance(action, MediaCommand):
            try:
                reply = await self._control.execute(action.command)
            except MediaUnavailable:
                reply = None
            rest = list(self._actions)
            self.call.receive_media(action.purpose, reply, self._now())
            self._actions = deque([*self.call.out.take(), *rest])
        elif isinstance(action, SendRequest):
            asyncio.get_running_loop().call_later(self.answer_after_s, self._answer, action)
        elif isinstance(action, SendResponse):
            if action.transaction is self.call.setup.transaction and action.response.body:
                self.a.hear_of(action.response.body)
                self.post(self.call.receive_ack, "a", self._request("ACK", 1))
        elif isinstance(action, EndCall):
            self.is_over.set()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self.call.next_timeout()
        if due is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(due + 0.001, self.post, self.call.handle_timeout)

    # --- the phones ------------------------------------------------------------------------

    def _answer(self, sent: SendRequest) -> None:
        request = sent.request
        request.prepend("via", f"SIP/2.0/LOCAL callmanager;branch={sent.branch}")
        response = response_to(request, 200, to_tag="btag")
        if request.method == "INVITE":
            phone = self.a if request.call_id == self.id + "-a" else self.b
            phone.hear_of(request.body)
            self.moves += request.to.tag is not None
            response.add("contact", "<sip:1002@192.0.2.2:5070>")
            response.add("content-type", "application/sdp")
            response.body = phone.sdp
        self.post(self.call.receive_response, sent.key, response)

    def _invite(self) -> Request:
        request = Request("INVITE", "sip:1002@demo.test")
        for name, value in (
            ("via", "SIP/2.0/LOCAL edge;branch=z9hG4bKa1"),
            ("from", '"Ann" <sip:1001@demo.test>;tag=atag'),
            ("to", "<sip:1002@demo.test>"),
            ("call-id", f"{self.id}-a"),
            ("cseq", "1 INVITE"),
            ("contact", "<sip:1001@192.0.2.1:5060>"),
            ("record-route", "<sip:tok@edge;transport=local;lr>"),
            ("max-forwards", "69"),
            ("content-type", "application/sdp"),
        ):
            request.add(name, value)
        request.body = self.a.sdp
        return request

    def _request(self, method: str, cseq: int) -> Request:
        request = Request(method, "sip:x@demo.test")
        tag = self.call.parts.caller.tag
        for name, value in (
            ("via", "SIP/2.0/LOCAL edge;branch=z9hG4bKa2"),
            ("from", '"Ann" <sip:1001@demo.test>;tag=atag'),
            ("to", f"<sip:1002@demo.test>;tag={tag}"),
            ("call-id", f"{self.id}-a"),
            ("cseq", f"{cseq} {method}"),
        ):
            request.add(name, value)
        return request

    async def _talk(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self.a.send()
            self.b.send()
            due += INTERVAL_S
            await asyncio.sleep(max(0.0, due - loop.time()))
