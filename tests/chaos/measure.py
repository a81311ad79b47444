"""What fault tests measure alike: calls that live on, requests within them, new calls, records."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.audit import audit
from tests.chaos.figures import Figure
from tests.chaos.ground import Ground

from parley.testkit.farm.call import CallFailed, FarmCall
from parley.testkit.farm.load import Attempt, Load, Pair, percentile

_GOODBYE_S: Final = 5.0


@dataclass(slots=True)
class Tries:
    """Requests within dialogs.

    Attributes:
        took_s: of those that were answered by 200.
        failures: what became of the others.
    """

    took_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, other: "Tries") -> None:
        """Joins the tries of another batch."""
        self.took_s += other.took_s
        self.failures += other.failures

    def failed(self, what: str) -> Figure:
        """How many failed, and how."""
        kinds = sorted(set(self.failures))
        return Figure(f"{what} failed", len(self.failures), 0, note=", ".join(kinds))

    @property
    def slowest_s(self) -> float | None:
        """The longest; None when nothing was answered."""
        return round(max(self.took_s), 3) if self.took_s else None

    @property
    def p99_s(self) -> float | None:
        """99th percentile; None when nothing was answered."""
        return round(percentile(self.took_s, 0.99), 3) if self.took_s else None


async def re_invite(calls: Sequence[FarmCall]) -> Tries:
    """Offers anew in all these calls at once."""
    return await _try_all(calls, FarmCall.re_invite)


async def hang_up(calls: Sequence[FarmCall]) -> Tries:
    """Ends all these calls at once."""
    return await _try_all(calls, FarmCall.hang_up)


async def _try_all(
    calls: Sequence[FarmCall], request: Callable[[FarmCall], Awaitable[float]]
) -> Tries:
    tries = Tries()

    async def one(call: FarmCall) -> None:
        try:
            tries.took_s.append(await request(call))
        except CallFailed as error:
            tries.failures.append(str(error))

    await asyncio.gather(*map(one, calls))
    return tries


def lost(pairs: Sequence[Pair]) -> int:
    """Calls that somebody hung up."""
    return sum(not pair.is_up for pair in pairs)


def anomalies(pairs: Sequence[Pair]) -> Figure:
    """What no phone should be sent: a successor and a fenced owner that both act show here."""
    found = [
        text for pair in pairs for call in (pair.caller, pair.callee) for text in call.anomalies
    ]
    return Figure("wrong requests to phones", len(found), 0, note=", ".join(sorted(set(found))))


async def part(pairs: Sequence[Pair]) -> tuple[Tries, int]:
    """Ends the calls, every other one from the called side; counts those whose peer never heard."""
    up = [pair for pair in pairs if pair.is_up]
    tries = await hang_up([pair.callee if n % 2 else pair.caller for n, pair in enumerate(up)])
    until = time.perf_counter() + _GOODBYE_S
    # Sockets push nothing here: the farm is asked.
    while any(not _is_over(pair) for pair in up) and time.perf_counter() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    return tries, sum(not _is_over(pair) for pair in up)


def _is_over(pair: Pair) -> bool:
    return pair.caller.ended is not None and pair.callee.ended is not None


def share_of_new_calls(calls: Sequence[Attempt], since: float, until: float) -> float | None:
    """Per cent of the calls begun in this time that went well; None when there was none."""
    begun = [one for one in calls if since <= one.began <= until]
    if not begun:
        return None
    good = sum(not one.failure for one in begun)
    return round(100 * good / len(begun), 2)


def new_calls(
    calls: Sequence[Attempt], since: float, until: float, goal: float, what: str = "new calls"
) -> Figure:
    """The share of `share_of_new_calls`, with what became of the others."""
    kinds = Counter(one.failure for one in calls if since <= one.began <= until and one.failure)
    note = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common())
    share = share_of_new_calls(calls, since, until)
    return Figure(f"{what} that went well, %", share, goal, "high", note)


def gap_s(pairs: Sequence[Pair]) -> float | None:
    """The longest time without audio in either direction; None when nobody sends."""
    gaps = [
        call.stream.worst_gap_s
        for pair in pairs
        for call in (pair.caller, pair.callee)
        if call.stream is not None and call.stream.received
    ]
    return round(max(gaps), 3) if gaps else None


def forget_gaps(pairs: Sequence[Pair]) -> None:
    """Begins to measure gaps anew."""
    for pair in pairs:
        for call in (pair.caller, pair.callee):
            if call.stream is not None:
                call.stream.forget_gaps()


async def records(ground: Ground, load: Load) -> list[Figure]:
    """Every answered call has one CDR with the right duration; call it when all calls are over."""
    talked = [_talk(pair) for pair in load.pairs if pair.caller.ended is not None]
    found = await audit(ground.api, [*load.ledger.calls, *talked])
    return [
        Figure("CDRs lost", found.lost, 0),
        Figure("CDRs doubled", found.doubled, 0),
        Figure("CDR duration error, s", found.worst_duration_error_s, 1),
    ]


def _talk(pair: Pair) -> Attempt:
    attempt = Attempt(0.0, sip_call_id=pair.caller.sip_call_id)
    calls = (pair.caller, pair.callee)
    ends = [call.ended for call in calls if call.ended is not None]
    if pair.caller.answered is not None and ends:
        attempt.answering_s = pair.answering_s
        attempt.talked_s = min(ends) - pair.caller.answered
        known = ends + [call.parted for call in calls if call.parted is not None]
        attempt.parting_s = max(known) - min(ends)
    return attempt
