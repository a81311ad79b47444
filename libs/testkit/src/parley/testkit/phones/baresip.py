"""A real phone, baresip 1.0, without sound card, driven by a test.

```python
async with Baresip(Account("1001", "secret", "demo.localhost", "127.0.0.1:5060"), folder) as alice:
    await alice.registered()
    await alice.dial("1002")
    await alice.established()
    await alice.media_flows()
    await alice.hang_up()
assert alice.heard().tone_s(660) > 0.5
```
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from parley.testkit.phones.baresip_config import Account, PhonePorts, write_config
from parley.testkit.phones.baresip_control import BaresipControl, ControlError, PhoneEvent
from parley.testkit.phones.ports import reserve_ports, serial
from parley.testkit.phones.process import Child, ChildError
from parley.testkit.phones.sip_trace import TracedMessage, messages_of, of_baresip
from parley.testkit.phones.tone import Recording, read_wav, write_tone

_LIFETIME_S = 60
_RTP_PORTS = 20
_BYTES_PER_SECOND = 16_000
_POLL_S = 0.05
_REGISTER_FAILED = re.compile(r"reg: \S+: (.*)")
_RTP_SOURCE = re.compile(r"incoming rtp for 'audio' established, receiving from (\S+)")


class Baresip:
    """One phone; an asynchronous context manager that starts and ends it.

    Attributes:
        account: who it is.
        folder: its configuration, log and recordings.
        host: the address it listens on and offers.
        ports: its ports.
    """

    def __init__(
        self, account: Account, parent: Path, tone_hz: float = 440.0, host: str = "127.0.0.1"
    ) -> None:
        self.account = account
        self.host = host
        self.folder = parent / f"baresip-{account.number}-{serial()}"
        sip, control = reserve_ports(2), reserve_ports()
        rtp = reserve_ports(_RTP_PORTS, align=2)
        self.ports = PhonePorts(sip, control, rtp, rtp + _RTP_PORTS - 1)
        self._tone_hz = tone_hz
        self._child: Child | None = None
        self._control: BaresipControl | None = None

    @property
    def address(self) -> str:
        """`host:port` of its SIP socket."""
        return f"{self.host}:{self.ports.sip}"

    @property
    def rtp_ports(self) -> range:
        """Ports it sends RTP from and offers."""
        return range(self.ports.rtp_first, self.ports.rtp_last + 1)

    @property
    def child(self) -> Child:
        """The process."""
        assert self._child is not None, "the phone is not started"
        return self._child

    @property
    def control(self) -> BaresipControl:
        """The control connection, for what has no method here."""
        assert self._control is not None, "the phone is not started"
        return self._control

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True)
        tone = write_tone(self.folder / "tone.wav", self._tone_hz)
        write_config(self.folder, self.account, self.ports, self.host, tone)
        argv = ["baresip", "-f", str(self.folder), "-s", "-v", "-t", str(_LIFETIME_S)]
        self._child = Child(f"baresip {self.account.number}", argv, self.folder / "log.txt")
        try:
            await asyncio.to_thread(self._child.wait_for_line, "baresip is ready", 5.0)
            self._control = await BaresipControl.connect(self.ports.control)
        except BaseException:
            self._child.kill()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self.quit()
        except ChildError:
            if error is None:
                raise
        if error is not None:
            error.add_note(str(self.child.failure("was part of this test")))

    async def quit(self) -> None:
        """Hangs up, unregisters and ends; done again it does nothing."""
        if self._control is not None:
            with suppress(ControlError, OSError):
                await self._control.command("quit", timeout_s=2.0)
            await self._control.aclose()
            self._control = None
        try:
            await asyncio.to_thread(self.child.wait, 3.0)
        except ChildError:
            self.child.kill()
            raise

    async def registered(self, timeout_s: float = 5.0) -> None:
        """Waits until the server has accepted the registration.

        Read from the log: it may have happened before the control connection was there.
        """
        await self.receives("REGISTER", 200, timeout_s=timeout_s)

    async def register_failed(self, timeout_s: float = 5.0) -> str:
        """Waits until the phone has given up to register; returns why."""
        pattern = _REGISTER_FAILED.pattern
        line = await asyncio.to_thread(self.child.wait_for_line, pattern, timeout_s)
        match = _REGISTER_FAILED.search(line)
        assert match is not None
        return match[1]

    async def dial(self, number: str) -> None:
        """Calls a number of its own domain, or a whole SIP URI."""
        uri = number if number.startswith("sip:") else f"sip:{number}@{self.account.domain}"
        await self.control.command("dial", uri)

    async def incoming(self, timeout_s: float = 5.0) -> PhoneEvent:
        """Waits until a call comes in."""
        return await self.control.wait_for("CALL_INCOMING", timeout_s=timeout_s)

    async def ringing(self, timeout_s: float = 5.0) -> PhoneEvent:
        """Waits until the far end of the dialled call rings."""
        return await self.control.wait_for("CALL_RINGING", timeout_s=timeout_s)

    async def accept(self) -> None:
        """Takes the call that rings here."""
        await self.control.command("accept")

    async def established(self, timeout_s: float = 5.0) -> PhoneEvent:
        """Waits until the call is answered and acknowledged."""
        return await self.control.wait_for("CALL_ESTABLISHED", timeout_s=timeout_s)

    async def media_flows(self, timeout_s: float = 5.0) -> str:
        """Waits for the first RTP packet; returns the `host:port` it came from."""
        await self.control.wait_for("CALL_RTPESTAB", timeout_s=timeout_s)
        line = await asyncio.to_thread(self.child.wait_for_line, _RTP_SOURCE.pattern, timeout_s)
        match = _RTP_SOURCE.search(line)
        assert match is not None
        return match[1]

    async def hears(self, seconds: float, timeout_s: float = 8.0) -> None:
        """Waits until so much more has been heard in the running call.

        After a hold baresip 1.0 takes RTP in but hands it to no recording any more: use `talks`.
        """
        await self._grows("dec", seconds, timeout_s)

    async def talks(self, seconds: float, timeout_s: float = 8.0) -> None:
        """Waits until so much more has been sent in the running call."""
        await self._grows("enc", seconds, timeout_s)

    async def hang_up(self) -> None:
        """Ends the call, gives up one that rings, or refuses one that came in."""
        await self.control.command("hangup")

    async def closed(self, timeout_s: float = 5.0) -> str:
        """Waits until the call is over; returns the reason the phone tells."""
        return (await self.control.wait_for("CALL_CLOSED", timeout_s=timeout_s)).text

    async def receives(
        self, method: str, status: int | None = None, *, count: int = 1, timeout_s: float = 5.0
    ) -> None:
        """Waits until so many requests of a method, or responses to them, have come in."""
        what = f"received fewer than {count} {method} {status or ''}".rstrip()

        def is_enough(_new: Sequence[str]) -> bool:
            return len(messages_of(self.messages(), method, status)) >= count

        await asyncio.to_thread(self.child.wait_until, is_enough, what, timeout_s)

    def messages(self) -> list[TracedMessage]:
        """Every SIP message so far."""
        peers = [self.account.server] if self.account.server else []
        return of_baresip(self.child.lines, self.ports.sip, peers)

    def heard(self) -> Recording:
        """What the last call brought, once that call is over."""
        return self._recording("dec")

    def said(self) -> Recording:
        """What was sent in the last call, once that call is over."""
        return self._recording("enc")

    async def _grows(self, side: str, seconds: float, timeout_s: float) -> None:
        path = self._recording_path(side)
        async with asyncio.timeout(timeout_s):
            wanted = path.stat().st_size + int(seconds * _BYTES_PER_SECOND)
            while path.stat().st_size < wanted:  # noqa: ASYNC110 - a file tells nobody that it grew
                await asyncio.sleep(_POLL_S)

    def _recording(self, side: str) -> Recording:
        return read_wav(self._recording_path(side))

    def _recording_path(self, side: str) -> Path:
        found = sorted(self.folder.glob(f"dump-*-{side}.wav"))
        if not found:
            raise self.child.failure("recorded nothing")
        return found[-1]
