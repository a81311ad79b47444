"""The background load of a test that breaks things: phones, long calls, new calls, refreshes.

What happened to every call and registration is kept in a `Ledger`; who breaks something notes when,
so that failures can be counted by what was under way.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from parley.service.tasks import TaskOwner
from parley.testkit.farm.call import CallFailed, FarmCall
from parley.testkit.farm.phone import FarmPhone
from parley.testkit.farm.rtp import MediaClock
from parley.testkit.phones.line import Line

_PARALLEL: Final = 20
_ARRIVAL_S: Final = 5.0


@dataclass(slots=True)
class Attempt:
    """One try of something.

    Attributes:
        began: monotonic seconds.
        took_s: until it was done or given up.
        failure: why it failed; empty when it did not.
        sip_call_id: of a call.
        answering_s: from when the callee picked up until the caller knew of it; the platform heard
            of it in between.
        talked_s: from then to the BYE, of a call that was answered.
        parting_s: from the BYE until all knew of it; the platform heard of it in between.
        retry_after_s: how long a refused one is to wait before the next try.
    """

    began: float
    took_s: float = 0.0
    failure: str = ""
    sip_call_id: str = ""
    answering_s: float = 0.0
    talked_s: float | None = None
    parting_s: float = 0.0
    retry_after_s: float = 0.0


@dataclass(slots=True)
class Pair:
    """An established call, seen from both phones."""

    caller: FarmCall
    callee: FarmCall

    @property
    def is_up(self) -> bool:
        """Neither side was hung up on."""
        return self.caller.ended is None and self.callee.ended is None

    @property
    def answering_s(self) -> float:
        """Seconds from when the callee picked up until the caller knew of it."""
        if self.caller.answered is None or self.callee.answered is None:
            return 0.0
        return max(0.0, self.caller.answered - self.callee.answered)


@dataclass(slots=True)
class Ledger:
    """All that was tried."""

    calls: list[Attempt] = field(default_factory=list)
    registrations: list[Attempt] = field(default_factory=list)

    def failed_calls(self, since: float = 0.0) -> list[Attempt]:
        """Calls that began since then and failed."""
        return [one for one in self.calls if one.failure and one.began >= since]

    def failed_registrations(self, since: float = 0.0) -> list[Attempt]:
        """Registrations that began since then and failed."""
        return [one for one in self.registrations if one.failure and one.began >= since]


class Load:
    """Phones at one platform; an asynchronous context manager.

    Attributes:
        phones: all of them, registered.
        ledger: what happened.
        pairs: the long calls.
    """

    def __init__(self, lines: Sequence[Line], server: str, transport: str = "udp") -> None:
        self.tasks = TaskOwner()
        self.ledger = Ledger()
        self.pairs: list[Pair] = []
        media = MediaClock(self.tasks)
        self.phones = [FarmPhone(line, server, media, self.tasks, transport) for line in lines]
        self._idle: list[FarmPhone] = []
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Load":
        for phone in self.phones:
            await phone.start()
        await self.register_all()
        failed = self.ledger.failed_registrations()
        assert not failed, f"{len(failed)} of {len(self.phones)} did not register: {failed[0]}"
        self._idle = list(self.phones)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        for phone in self.phones:
            await phone.aclose()
        await self.tasks.aclose()

    # --- registrations ---------------------------------------------------------------------

    async def register_all(self, parallel: int = _PARALLEL) -> float:
        """Registers every phone; returns the seconds until the last one is done."""
        began = time.perf_counter()
        gate = asyncio.Semaphore(parallel)

        async def one(phone: FarmPhone) -> None:
            async with gate:
                await self.register(phone)

        await asyncio.gather(*map(one, self.phones))
        return time.perf_counter() - began

    async def register(self, phone: FarmPhone) -> Attempt:
        """Registers one phone; returns how it went, and notes it in the ledger."""
        attempt = Attempt(time.perf_counter())
        self.ledger.registrations.append(attempt)
        try:
            await phone.register()
        except CallFailed as error:
            attempt.failure = str(error)
            attempt.retry_after_s = error.retry_after_s
        attempt.took_s = time.perf_counter() - attempt.began
        return attempt

    # --- calls -----------------------------------------------------------------------------

    async def establish(self, count: int, with_media: int = 0) -> None:
        """Sets up calls that stay; the first `with_media` of them send audio both ways."""
        chosen = [(self._idle.pop(), self._idle.pop()) for _ in range(count)]
        for caller, callee in chosen[:with_media]:
            caller.has_media = callee.has_media = True
        gate = asyncio.Semaphore(_PARALLEL)

        async def one(caller: FarmPhone, callee: FarmPhone) -> Pair:
            async with gate:
                return await connect(caller, callee)

        self.pairs += await asyncio.gather(*(one(*phones) for phones in chosen))

    def keep_calling(self, rate: float, hold_s: float = 1.0) -> None:
        """Begins to make `rate` calls a second between phones that have none."""
        self._running.append(self.tasks.spawn(self._keep_calling(rate, hold_s), name="new calls"))

    def keep_registering(self, rate: float) -> None:
        """Begins to refresh `rate` registrations a second."""
        self._running.append(self.tasks.spawn(self._keep_registering(rate), name="refreshes"))

    async def stop(self, timeout_s: float = 40.0) -> None:
        """Makes no new calls and waits for those under way."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()
        async with asyncio.timeout(timeout_s):
            while len(self.tasks) > 1:  # noqa: ASYNC110 - the media clock alone is left
                await asyncio.sleep(0.02)

    async def cut(self) -> None:
        """Makes no new calls and gives up those under way, as when the phones lose power too."""
        for task in self._running:
            task.cancel()
        await self.tasks.aclose()
        self._running.clear()

    async def _keep_calling(self, rate: float, hold_s: float) -> None:
        due = time.perf_counter()
        while True:
            if len(self._idle) >= 2:
                caller, callee = self._idle.pop(0), self._idle.pop(0)
                self.tasks.spawn(self._call_once(caller, callee, hold_s), name="one call")
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    async def _keep_registering(self, rate: float) -> None:
        due = time.perf_counter()
        for phone in itertools.cycle(self.phones):
            self.tasks.spawn(self.register(phone), name="one refresh")
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    async def _call_once(self, caller: FarmPhone, callee: FarmPhone, hold_s: float) -> None:
        attempt = Attempt(time.perf_counter())
        self.ledger.calls.append(attempt)
        call = None
        try:
            call = await caller.call(callee.line.number)
            attempt.took_s = time.perf_counter() - attempt.began
            attempt.sip_call_id = call.sip_call_id
            try:
                async with asyncio.timeout(hold_s):
                    await call.is_over.wait()
                attempt.failure = "hung up by the platform"
            except TimeoutError:
                await call.hang_up()
        except CallFailed as error:
            attempt.failure = str(error)
            attempt.took_s = time.perf_counter() - attempt.began
        finally:
            if call is not None and call.answered is not None and call.ended is not None:
                attempt.talked_s = call.ended - call.answered
                attempt.parting_s = (call.parted or call.ended) - call.ended
                arrived = _arrived(call, callee)
                if arrived is not None:
                    attempt.answering_s = Pair(call, arrived).answering_s
            self._idle += [caller, callee]


async def connect(caller: FarmPhone, callee: FarmPhone) -> Pair:
    """Calls from one phone to another; returns when both sides are confirmed.

    Raises:
        CallFailed: the call was not answered.
    """
    count = len(callee.incoming)
    call = await caller.call(callee.line.number)
    async with asyncio.timeout(_ARRIVAL_S):
        while len(callee.incoming) == count:  # noqa: ASYNC110 - it has answered already
            await asyncio.sleep(0.005)
        arrived = callee.incoming[-1]
        await arrived.is_confirmed.wait()
    return Pair(call, arrived)


def _arrived(call: FarmCall, callee: FarmPhone) -> FarmCall | None:
    """The other side of a call that this phone has answered; None when it cannot be told."""
    caller = f"sip:{call.phone.line.number}@"
    for each in reversed(callee.incoming):
        if each.started < call.started:
            break
        if each.dialog is not None and caller in each.dialog.remote_party:
            return each
    return None


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
