"""Finds instances that are gone and takes this one's share of their calls.

A few times a second every call manager reads who may own calls and whose lease stands. The calls
of one without lease are divided among the living by rendezvous hashing, as the edges do, and each
takes its share, oldest calls first, in batches. When the index of the dead is empty its name goes
too.

Calls whose owner died when nobody was there to take over (the whole platform was down) are over:
they are restored only to be ended in order, with BYE to the phones and a record.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import structlog

from parley.backing.errors import BackingError
from parley.backing.state.base import State
from parley.backing.state.leases import Leases
from parley.backing.state.loads import callmanager_loads
from parley.callmanager.lease_keeper import LeaseKeeper
from parley.callmanager.ownership import Answer, census, is_cold, share
from parley.callmanager.peers import Peers
from parley.callmanager.restorer import NEVER
from parley.callmanager.store import CallStore
from parley.callmanager.takeover import Takeovers
from parley.model.ids import CallId, InstanceId
from parley.service.clock import Clock

INTERVAL_S: Final = 0.3
BATCH: Final = 50
SETTLE_S: Final = 2.0
"""After state was away everybody gets this long to renew its lease before it is taken for dead."""
OVERDUE_S: Final = 5.0
"""After this long anybody takes a call of the dead: who has to does not, or cannot read it."""
CHECK_S: Final = 10.0
"""Between looks at our own index."""
TIMEOUT_S: Final = 1.0

_logger = structlog.stdlib.get_logger(__name__)


class Sweeper:
    """Looks for dead instances for ever."""

    def __init__(  # noqa: PLR0913 - wiring
        self,
        state: State,
        keeper: LeaseKeeper,
        peers: Peers,
        store: CallStore,
        takeovers: Takeovers,
        clock: Clock,
        instance: InstanceId,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._leases = Leases(state)
        self._loads = callmanager_loads(state)
        self._keeper = keeper
        self._peers = peers
        self._store = store
        self._takeovers = takeovers
        self._clock = clock
        self._me = instance
        self._interval_s = interval_s
        self._seen: set[str] = set()
        self._left_since: dict[str, float] = {}
        self._not_before = float("-inf")
        self._check_at = float("-inf")
        self._must_doubt = False
        state.on_new_generation(self._on_new_generation)

    async def meet(self) -> None:
        """Sees who lives, before the next of them can die: the calls of whom we saw go on."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                alive = await self._leases.living(await self._leases.owners())
                await self._meet(alive)
        except (BackingError, TimeoutError) as error:
            _logger.debug("nobody met", reason=repr(error))

    async def run(self) -> None:
        """Sweeps for ever; `meet` others first."""
        while True:
            await self.sweep()
            await asyncio.sleep(self._interval_s)

    async def sweep(self) -> None:
        """Looks once; when state does not answer, everybody gets time before the next look."""
        if not self._keeper.is_valid:
            # State is away for us, and perhaps for those whose leases run out there meanwhile.
            self._wait()
        if self._is_settling:
            return
        try:
            await self._sweep()
        except (BackingError, TimeoutError) as error:
            _logger.debug("sweep not finished", reason=repr(error))
            self._wait()

    @property
    def _is_settling(self) -> bool:
        return self._clock.now() < self._not_before

    def _on_new_generation(self) -> None:
        # Of two that write one call again, the second has it, and the first does not hear of that.
        self._must_doubt = True
        self._wait()

    def _wait(self, seconds: float = SETTLE_S) -> None:
        self._not_before = max(self._not_before, self._clock.now() + seconds)
        self._check_at = self._not_before

    async def _sweep(self) -> None:
        began = self._clock.now()
        async with asyncio.timeout(TIMEOUT_S):
            owners = await self._leases.owners()
            living = await self._leases.living(owners)
        if not self._keeper.is_valid:
            self._wait()
        elif self._clock.now() - began > self._keeper.times.held_up_s:
            self._wait(2 * self._keeper.times.renew_s)
        if self._is_settling:
            # State went and came back while we read: nobody has had time to renew.
            return
        seen = census(self._me, owners, living)
        self._seen.intersection_update(owners)
        await self._meet(seen.alive)
        before, self._left_since = self._left_since, {}
        for dead in seen.dead:
            await self._inherit(dead, seen.alive, before)
        if self._clock.now() >= self._check_at:
            await self._check_own()

    async def _check_own(self) -> None:
        """Finds calls that are ours in state and nowhere here, and the other way round.

        The first were claimed and the answer was lost; the second were claimed by others while we
        were silent for less than a lease.
        """
        if self._must_doubt:
            self._must_doubt = False
            await self._takeovers.doubt_all()
        index = await self._store.owned_by(self._me)
        for call_id, started_s in index:
            if not self._takeovers.is_known(CallId(call_id)):
                await self._takeovers.take_dead(CallId(call_id), self._me, started_s)
        self._takeovers.doubt_all_but({call_id for call_id, _ in index})
        await self._store.delete_owed()
        self._check_at = self._clock.now() + CHECK_S

    async def _meet(self, alive: Collection[str]) -> None:
        """Asks who was not seen alive yet: a lease alone may be what a dead one left behind."""
        strangers = [each for each in alive if each not in self._seen and each != self._me]
        answers = await asyncio.gather(*map(self._peers.ask, strangers))
        for instance, answer in zip(strangers, answers, strict=True):
            if answer is not Answer.SILENT:
                self._seen.add(instance)

    async def _inherit(
        self, dead: str, alive: tuple[str, ...], left_since: Mapping[str, float]
    ) -> None:
        index = await self._store.owned_by(dead)
        if not index:
            async with asyncio.timeout(TIMEOUT_S):
                await self._leases.remove_owner(dead)
                await self._loads.withdraw(dead)
            return
        last_seen_s = await self._last_seen(dead)
        starts = dict(index)
        mine = self._mine(starts, alive, left_since)
        if mine:
            _logger.warning("calls taken over", instance=dead, calls=len(index), mine=len(mine))
        for start in range(0, len(mine), BATCH):
            # While we take over, our own lease has to stand: otherwise others take from us.
            if not self._keeper.is_valid or self._takeovers.is_leaving:
                return
            batch = mine[start : start + BATCH]
            await self._take(dead, {call_id: starts[call_id] for call_id in batch}, last_seen_s)

    def _mine(
        self, call_ids: Iterable[str], alive: tuple[str, ...], left_since: Mapping[str, float]
    ) -> list[str]:
        """Our share of what a dead one left, and what nobody has taken for a while."""
        now = self._clock.now()
        since = {call_id: left_since.get(call_id, now) for call_id in call_ids}
        self._left_since.update(since)
        shared = set(share(self._me, since, alive))
        return [
            call_id
            for call_id, at in since.items()
            if (call_id in shared or now - at >= OVERDUE_S)
            and not self._takeovers.is_for_others(CallId(call_id))
        ]

    async def _take(self, dead: str, batch: dict[str, float], last_seen_s: float) -> None:
        taken = await asyncio.gather(
            *(
                self._takeovers.take_dead(CallId(call_id), dead, started_s, last_seen_s)
                for call_id, started_s in batch.items()
            ),
            return_exceptions=True,
        )
        done = [call_id for call_id, is_done in zip(batch, taken, strict=True) if is_done is True]
        await self._store.release(dead, *done)
        for outcome in taken:
            if isinstance(outcome, BackingError | TimeoutError):
                raise outcome
            if isinstance(outcome, BaseException):
                _logger.error("a call was not taken over", instance=dead, exc_info=outcome)

    async def _last_seen(self, dead: str) -> float:
        """When the dead one was last heard of if its calls are over; `NEVER` when they go on."""
        if dead in self._seen:
            return NEVER
        async with asyncio.timeout(TIMEOUT_S):
            report = (await self._loads.read()).get(dead)
        wall_s = self._clock.wall_s()
        last_s = wall_s if report is None else report.at
        silent_s = wall_s - last_s
        was_alone = not self._seen
        return last_s if is_cold(was_seen=False, was_alone=was_alone, silent_s=silent_s) else NEVER
