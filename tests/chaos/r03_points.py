"""R3: the owner of a call is killed at each of 14 points of a call.

Nothing in the product helps to stop there. An owner that is halted before a message comes, then
killed, has read it and done nothing (`_strike_read`). One that is killed while Redis is halted has
written, for Redis finds the write in its socket later, and told nobody (`_strike_written`). Phones
that wait with their next step bring it to the points between. Of two call managers only the victim
runs while calls are prepared, so all are its own; the other is started again before the blow.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.measure import lost, part
from tests.chaos.points import kinds
from tests.chaos.points.case import Case, NotThere
from tests.chaos.points.judge import check_records, judge
from tests.chaos.points.unread import has_arrived, unread_bytes
from tests.chaos.scenario import scenario

from parley.cluster.control import ServerEntry
from parley.testkit.farm.load import Load
from parley.testkit.farm.phone import FarmPhone

TITLES: Final = {
    1: "INVITE read, nothing written",
    2: "written, B's INVITE not sent",
    3: "B's INVITE sent",
    4: "18x passed on",
    5: "B's 200 read, not written",
    6: "written, 200 to A not sent",
    7: "200 to A sent, no ACK",
    8: "ACK read, not passed on",
    9: "re-INVITE read",
    10: "its 200 read, not passed on",
    11: "re-INVITEs crossing",
    12: "CANCEL read",
    13: "BYE read, no 200 sent",
    14: "BYE answered, other side not told",
}

Make = Callable[[int, FarmPhone, FarmPhone], Case]

_CALLEE_CHANGES: Final = functools.partial(kinds.Changing, by_caller=False)
_CALLEE_HANGS_UP: Final = functools.partial(kinds.HangingUp, by_caller=False)
_READ: Final[Sequence[tuple[int, Make]]] = (
    (3, kinds.Unheard),
    (4, kinds.Ringing),
    (5, kinds.Answering),
    (7, kinds.Unacknowledged),
    (8, kinds.Acknowledging),
    (8, kinds.AnsweringInAck),
    (9, kinds.Changing),
    (9, _CALLEE_CHANGES),
    (10, kinds.Changed),
    (10, kinds.AnsweringChange),
    (11, kinds.Crossing),
    (12, kinds.Cancelling),
    (12, kinds.Cancelled),
    (13, kinds.HangingUp),
    (13, _CALLEE_HANGS_UP),
    (14, kinds.HungUp),
)
_WRITTEN: Final[Sequence[tuple[int, Make]]] = (
    (6, kinds.Answering),
    (8, kinds.AnsweringInAck),
    (9, kinds.Changing),
    (10, kinds.AnsweringChange),
    (11, kinds.Crossing),
    (12, kinds.Cancelling),
    (13, kinds.HangingUp),
    (14, _CALLEE_HANGS_UP),
)
_NEW: Final[Sequence[tuple[int, Make]]] = ((1, kinds.NewCall), (2, kinds.NewCall)) * 2
_LONG_CALLS: Final = 10
"""With them the survivor is the busier call manager, so that new calls go to the victim."""
_PHONES: Final = 2 * (len(_READ) + len(_WRITTEN) + len(_NEW) + _LONG_CALLS)
_FIRST: Final = "callmanager-1"
_SECOND: Final = "callmanager-2"
_SIP_PORT: Final = "port"
_HALT_S: Final = 0.2
"""Messages of the phones need a few milliseconds; a lease lives for 1 s."""
_ARRIVE_S: Final = 0.4
_REQUEST_BYTES: Final = 800
_SNAPSHOT_BYTES: Final = 1000
_NEWS_S: Final = 2.5
"""Call managers report their load each second, edges read it each second."""


@scenario("R3", "kill -9 of the owner at 14 points of a call")
async def run(ground: Ground) -> list[Figure]:
    """All calls of a round are killed together; each is judged by itself."""
    ground.kill(_SECOND)
    async with ground.load(_PHONES) as load:
        phones = iter(load.phones)
        read, written, new = (list(_cases(each, phones)) for each in (_READ, _WRITTEN, _NEW))
        try:
            calls_lost = await _rounds(ground, load, read, written, new)
        finally:
            await asyncio.gather(*(case.aclose() for case in (*read, *written, *new)))
        await check_records(ground.api, (*read, *written, *new))
    figures = [_figure(point, (*read, *written, *new)) for point in TITLES]
    return [*figures, Figure("established calls lost, half open or refused", calls_lost, 0)]


async def _rounds(
    ground: Ground, load: Load, read: list[Case], written: list[Case], new: list[Case]
) -> int:
    await _prepare(read)
    await ground.restart(_SECOND)
    await _strike(ground, _FIRST, read, _strike_read)

    judging = asyncio.create_task(_judge(read))
    await _prepare(written)
    await load.establish(_LONG_CALLS)
    await ground.restart(_FIRST)
    await judging
    await _strike(ground, _SECOND, written, _strike_written)

    judging = asyncio.create_task(_judge(written))
    await ground.restart(_SECOND)
    await asyncio.gather(judging, asyncio.sleep(_NEWS_S))
    await _strike(ground, _SECOND, new, _strike_new)
    await _judge(new)

    calls_lost = lost(load.pairs)
    byes, half_open = await part(load.pairs)
    return calls_lost + half_open + len(byes.failures)


def _cases(makes: Iterable[tuple[int, Make]], phones: Iterator[FarmPhone]) -> Iterator[Case]:
    for point, make in makes:
        yield make(point, next(phones), next(phones))


async def _prepare(cases: Sequence[Case]) -> None:
    async def one(case: Case) -> None:
        try:
            await case.prepare()
        except NotThere:
            case.is_measured = False

    await asyncio.gather(*map(one, cases))


async def _judge(cases: Sequence[Case]) -> None:
    await asyncio.gather(*(judge(case) for case in cases if case.is_measured))


def _figure(point: int, cases: Sequence[Case]) -> Figure:
    there = [case for case in cases if case.point == point]
    is_measured = all(case.is_measured for case in there)
    trouble = [
        f"{type(case).__name__}: {text}" for case in there for text in dict.fromkeys(case.trouble)
    ]
    value = len(trouble) if is_measured else None
    return Figure(f"point {point}: {TITLES[point]}", value, 0, note="; ".join(trouble))


# --- blows -----------------------------------------------------------------------------------

Blow = Callable[[Ground, str, Sequence[Case]], Awaitable[None]]


async def _strike(ground: Ground, victim: str, cases: Sequence[Case], blow: Blow) -> None:
    there = [case for case in cases if case.is_measured]
    await blow(ground, victim, there)
    for case in there:
        case.go_on()


async def _strike_read(ground: Ground, victim: str, cases: Sequence[Case]) -> None:
    """What the phones say lies in the sockets of the victim when it dies."""
    ground.freeze(victim)
    for case in cases:
        case.strike()
    await asyncio.sleep(_HALT_S)
    ground.kill(victim)


async def _strike_written(ground: Ground, victim: str, cases: Sequence[Case]) -> None:
    """The victim waits for Redis, which finds its writes when it goes on, when it dies."""
    ports = _redis_ports(ground)
    ground.freeze("redis")
    before = unread_bytes(ports)
    for case in cases:
        case.strike()
    is_there = await has_arrived(ports, before + _SNAPSHOT_BYTES * len(cases), _ARRIVE_S)
    ground.kill(victim)
    ground.thaw("redis")
    _note(cases, is_there=is_there)


async def _strike_new(ground: Ground, victim: str, cases: Sequence[Case]) -> None:
    """Calls of point 2 wait for a relay, then for their first write; those of 1 are not read.

    With the relay halted an INVITE is admitted and waits; Redis is halted then, the relay goes on
    and answers, and the call's first write lies in the socket of Redis.
    """
    relays = [entry.name for entry in ground.processes("mediarelay")]
    at_1 = [case for case in cases if case.point == 1]
    at_2 = [case for case in cases if case.point == 2]
    for relay in relays:
        ground.freeze(relay)
    for case in at_2:
        case.strike()
    await asyncio.sleep(_HALT_S)
    ground.freeze("redis")
    ports = _redis_ports(ground)
    before = unread_bytes(ports)
    for relay in relays:
        ground.thaw(relay)
    is_there = await has_arrived(ports, before + _SNAPSHOT_BYTES * len(at_2), _ARRIVE_S)
    _note(at_2, is_there=is_there and not any(case.callee.incoming for case in at_2))
    sip_port = ground.control.process(victim).ports[_SIP_PORT]
    ground.freeze(victim)
    before = unread_bytes((sip_port,))
    for case in at_1:
        case.strike()
    is_there = await has_arrived((sip_port,), before + _REQUEST_BYTES * len(at_1), _ARRIVE_S)
    _note(at_1, is_there=is_there)
    ground.kill(victim)
    ground.thaw("redis")


def _note(cases: Sequence[Case], *, is_there: bool) -> None:
    for case in cases:
        case.is_measured = case.is_measured and is_there


def _redis_ports(ground: Ground) -> tuple[int, ...]:
    redis = ground.find("redis")
    assert isinstance(redis, ServerEntry), "Redis is a server"
    return (urlsplit(redis.url).port or 6379,)
