"""R3: the owner of a call is killed at each of 14 points of a call.

Nothing in the product helps to stop there. An owner that is halted before a message comes, then
killed, has read it and done nothing (`_strike_read`). One that is killed while Redis is halted has
written, for Redis finds the write in its socket later, and told nobody (`_strike_written`). Phones
that wait with their next step bring calls to the points between.

Of two call managers only the victim runs while the calls of the first blow are prepared, so all are
its own. For the second blow it is started again: the other one has taken the long calls over and is
the busier, so edges send new calls to the victim.
"""

import asyncio
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from tests.chaos.figures import Figure
from tests.chaos.ground import Ground
from tests.chaos.measure import lost, part, records
from tests.chaos.points import kinds
from tests.chaos.points.case import Case, NotThere
from tests.chaos.points.judge import check_records, judge
from tests.chaos.points.owners import owners
from tests.chaos.points.scouts import SCOUTS, Scouts
from tests.chaos.points.unread import has_arrived, unread_bytes
from tests.chaos.scenario import scenario
from tests.cluster.control import ServerEntry

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
_LONG_CALLS: Final = 45
"""An edge prefers the call manager of its zone until that has 20 calls more, and half as many."""
_PHONES: Final = 2 * (len(_READ) + len(_WRITTEN) + len(_NEW) + _LONG_CALLS + SCOUTS)
_VICTIM: Final = "callmanager-1"
_SURVIVOR: Final = "callmanager-2"
_HALT_S: Final = 0.2
"""Messages of the phones need a few milliseconds; a lease lives for 1 s."""
_ARRIVE_S: Final = 0.4
_REQUEST_BYTES: Final = 800
_SNAPSHOT_BYTES: Final = 1000


@scenario("R3", "kill -9 of the owner at 14 points of a call")
async def run(ground: Ground) -> list[Figure]:
    """All calls of a blow lose their owner together; each is judged by itself."""
    ground.kill(_SURVIVOR)
    async with ground.load(_PHONES) as load, owners(ground) as owning:
        phones = iter(load.phones)
        scouts = Scouts(owning, [(next(phones), next(phones)) for _ in range(SCOUTS)])
        read, written, new = (list(_cases(each, phones)) for each in (_READ, _WRITTEN, _NEW))
        cases = (*read, *written, *new)
        try:
            await _first_blow(ground, load, scouts, read)
            await _second_blow(ground, scouts, written, new)
        finally:
            await asyncio.gather(*(case.aclose() for case in cases))
        calls_lost = lost(load.pairs)
        byes, half_open = await part(load.pairs)
        await check_records(ground.api, [case for case in cases if case.is_measured])
        return [
            *(_figure(point, cases) for point in TITLES),
            Figure("other calls lost", calls_lost, 0),
            byes.failed("BYEs of other calls"),
            Figure("other calls half open after BYE", half_open, 0),
            *await records(ground, load),
        ]


async def _first_blow(ground: Ground, load: Load, scouts: Scouts, read: Sequence[Case]) -> None:
    await load.establish(_LONG_CALLS)
    await _prepare(read)
    await ground.restart(_SURVIVOR)
    await scouts.find(_SURVIVOR)
    there = [case for case in read if case.is_measured]
    await _strike_read(ground, there)
    for case in there:
        case.go_on()
    await _judge(read)
    # Not sooner: it would take its share of the calls of its former life.
    await ground.restart(_VICTIM)


async def _second_blow(
    ground: Ground, scouts: Scouts, written: Sequence[Case], new: Sequence[Case]
) -> None:
    await scouts.find(_VICTIM)
    await _prepare(written)
    for case in written:
        if case.is_measured:
            case.is_measured = await scouts.owners.of(case.into) == _VICTIM
    await _strike_written(ground, [case for case in written if case.is_measured], new)
    await _judge((*written, *new))


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
    is_measured = bool(there) and all(case.is_measured for case in there)
    trouble = [
        f"{type(case).__name__}: {text}" for case in there for text in dict.fromkeys(case.trouble)
    ]
    value = len(trouble) if is_measured else None
    return Figure(f"point {point}: {TITLES[point]}", value, 0, note="; ".join(trouble))


# --- blows -----------------------------------------------------------------------------------


async def _strike_read(ground: Ground, cases: Sequence[Case]) -> None:
    """What the phones say lies in the sockets of the victim when it dies."""
    ground.freeze(_VICTIM)
    for case in cases:
        case.strike()
    await asyncio.sleep(_HALT_S)
    ground.kill(_VICTIM)


async def _strike_written(ground: Ground, written: Sequence[Case], new: Sequence[Case]) -> None:
    """The writes of the victim lie in the socket of Redis when it dies, messages in its own.

    New calls of point 2 must have been admitted, which reads, before they are to wait with their
    first write: while the relays are halted they wait for one.
    """
    at_1 = [case for case in new if case.point == 1]
    at_2 = [case for case in new if case.point == 2]
    relays = [entry.name for entry in ground.processes("mediarelay")]
    redis, sip = _redis_port(ground), ground.control.process(_VICTIM).ports["port"]
    for relay in relays:
        ground.freeze(relay)
    for case in at_2:
        case.strike()
    await asyncio.sleep(_HALT_S)
    ground.freeze("redis")
    for relay in relays:
        ground.thaw(relay)
    before = unread_bytes(redis)
    for case in written:
        case.strike()
    expected = before + _SNAPSHOT_BYTES * (len(written) + len(at_2))
    is_there = await has_arrived(redis, expected, _ARRIVE_S)
    _note(written, is_there=is_there)
    _note(at_2, is_there=is_there and not any(case.callee.incoming for case in at_2))
    ground.freeze(_VICTIM)
    before = unread_bytes(sip)
    for case in at_1:
        case.strike()
    _note(at_1, is_there=await has_arrived(sip, before + _REQUEST_BYTES * len(at_1), _ARRIVE_S))
    ground.kill(_VICTIM)
    ground.thaw("redis")
    for case in written:
        case.go_on()


def _note(cases: Sequence[Case], *, is_there: bool) -> None:
    for case in cases:
        case.is_measured = case.is_measured and is_there


def _redis_port(ground: Ground) -> int:
    redis = ground.find("redis")
    assert isinstance(redis, ServerEntry), "Redis is a server"
    return urlsplit(redis.url).port or 6379
