"""The heartbeat: keeps this instance's lease, and says whether calls may act.

The shell of `lease.py`: it renews the key, and when state does not answer it asks the other call
managers whether they reach it (`ownership.verdict`). Every call remembers the term in which its
record was last found to be ours; in a later one it writes first and acts then (`mailbox.py`).
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from parley.backing.errors import BackingError
from parley.backing.state.base import State
from parley.backing.state.leases import Leases
from parley.callmanager.lease import Lease, LeaseTimes
from parley.callmanager.ownership import Answer, Verdict, verdict
from parley.callmanager.peers import Peers
from parley.callmanager.store import CallStore
from parley.model.ids import InstanceId
from parley.service.clock import Clock

VERDICT_LIFE_S: Final = 0.5
PATIENCE_S: Final = 1.0
"""State that was started again is reached by one call manager before the other."""
_PAUSE_S: Final = 0.1

_logger = structlog.stdlib.get_logger(__name__)


class LeaseKeeper:
    """Renews the lease of one instance.

    Attributes:
        on_interruption: called when a new term has begun or state is back, so that all calls look
            at their records and what could not be removed is. Not awaited: the lease comes first.
        on_leave: called when our calls are others' now and must be dropped in silence.
        times: how long the lease lasts.
        lease: what is known of it.
        is_isolated: state is away for us and not for others: no calls are taken.
    """

    def __init__(
        self,
        *,
        state: State,
        store: CallStore,
        peers: Peers,
        clock: Clock,
        instance: InstanceId,
        times: LeaseTimes,
    ) -> None:
        self._leases = Leases(state)
        self._store = store
        self._peers = peers
        self._clock = clock
        self._instance = instance
        self.times = times
        self._counter = 0
        self._wake = asyncio.Event()
        self._is_given_up = False
        self._given_up = asyncio.Event()
        self._verdict = Verdict.GO_ON
        self._judged_at = float("-inf")
        self._judging = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._unanswered = b""
        self.lease = Lease(times)
        self.is_isolated = False
        self.on_interruption: Callable[[], None] = lambda: None
        self.on_leave: Callable[[], None] = lambda: None
        store.is_away = self._is_state_away
        state.on_new_generation(self._on_new_generation)

    async def start(self) -> None:
        """Takes the lease, then a place among the owners.

        Raises:
            BackingError: state did not take it.
            TimeoutError: nor did it within the time-out.
        """
        await self._renew()
        await self._join()

    async def run(self) -> None:
        """Renews for ever."""
        while True:
            due_s = self.times.renew_s
            try:
                async with asyncio.timeout(due_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self.renew()

    async def renew(self) -> None:
        """Renews once; finds out what to do when that fails."""
        was_away = self.lease.is_away
        try:
            await self._renew_and_tell()
        except (BackingError, TimeoutError) as error:
            self.lease.unanswered()
            if not was_away:
                _logger.warning("lease not renewed", reason=repr(error))
            if not self.lease.is_valid(self._clock.now()):
                await self.judge()

    async def _renew_and_tell(self) -> None:
        was_away = self.lease.is_away
        if await self._renew() and not self._is_given_up:
            await self._join()
            self.on_interruption()
        self.is_isolated = False
        if was_away:
            _logger.info("state is back")
            self.on_interruption()

    async def judge(self) -> Verdict:
        """Whether calls may go on although state is away; one opinion for half a second."""
        async with self._judging:
            now = self._clock.now()
            if now - self._judged_at >= VERDICT_LIFE_S:
                self._verdict = verdict(await self._peers.ask_all())
                if (
                    self._verdict is Verdict.LEAVE
                    and not self.is_isolated
                    and await self._is_back_in_a_moment()
                ):
                    self._verdict = Verdict.GO_ON
                self._judged_at = self._clock.now()
                if self._verdict is Verdict.LEAVE and not self.is_isolated:
                    _logger.warning("others reach state and we do not: calls are left to them")
                    self.is_isolated = True
                    self.on_leave()
            return self._verdict

    async def _is_back_in_a_moment(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    try:
                        await self._renew_and_tell()
                    except (BackingError, TimeoutError):
                        # A write may also have been swallowed on its way, or its answer.
                        await asyncio.sleep(_PAUSE_S)
                    else:
                        return self.is_valid
        except TimeoutError:
            return False

    def is_sure(self, term: int) -> bool:
        """Says whether a call that was ours in that term is so now."""
        return self.lease.term == term and self.lease.is_valid(self._clock.now())

    @property
    def is_valid(self) -> bool:
        """Whether nobody can have claimed our calls yet."""
        return self.lease.is_valid(self._clock.now())

    @property
    def answer(self) -> Answer:
        """What probes of us are told."""
        return Answer.AWAY if self.lease.is_away else Answer.UP

    @property
    def is_given_up(self) -> bool:
        """Whether the lease was handed over, so that others may claim what is ours."""
        return self._is_given_up

    async def give_up(self) -> None:
        """Deletes the lease: the others claim our calls from now on."""
        self._is_given_up = True
        try:
            async with self._writing, asyncio.timeout(self.times.ttl_s):
                await self._leases.give_up(self._instance)
        except (BackingError, TimeoutError) as error:
            _logger.warning("the lease runs out by itself", reason=repr(error))
        self._given_up.set()

    async def wait_given_up(self) -> None:
        """Returns when the lease was given up, or could have run out."""
        try:
            async with asyncio.timeout(self.times.ttl_s):
                await self._given_up.wait()
        except TimeoutError:
            return

    async def leave(self) -> None:
        """Takes this instance out of the owners, when nothing of it is left to be claimed."""
        try:
            async with asyncio.timeout(self.times.ttl_s):
                await self._leases.remove_owner(self._instance)
        except (BackingError, TimeoutError) as error:
            _logger.warning("sweepers find this instance without calls", reason=repr(error))

    # --- inside ----------------------------------------------------------------------------

    async def _renew(self) -> bool:
        async with self._writing:
            if self._is_given_up:
                return False
            self._counter += 1
            value = str(self._counter).encode()
            async with asyncio.timeout(self.times.ttl_s / 2):
                sent_at = self._clock.now()
                version = await self._put(value)
                if version is None:
                    await self._look()
                    sent_at = self._clock.now()
                    version = await self._put(value)
            if version is None:
                raise TimeoutError("the key of the lease changes under our hands")
            return self.lease.renewed(sent_at, version)

    async def _put(self, value: bytes) -> int | None:
        before, self._unanswered = self._unanswered, value
        version = await self._leases.renew(
            self._instance, value, self.lease.version, self.times.ttl_s
        )
        self._unanswered = b"" if version is not None else before
        return version

    async def _look(self) -> None:
        """Finds out why our write was not taken: a write without answer had been, or more."""
        found = await self._leases.read(self._instance)
        if found is not None and found.value == self._unanswered:
            self.lease.version = found.version
        else:
            self.lease.superseded(0 if found is None else found.version)

    async def _join(self) -> None:
        async with asyncio.timeout(self.times.ttl_s):
            await self._leases.add_owner(self._instance, self._clock.wall_s())

    def _is_state_away(self) -> bool:
        return self.lease.is_away and not self.lease.is_valid(self._clock.now())

    def _on_new_generation(self) -> None:
        self._store.forget(self._clock.wall_s())
        self.lease.forget()
        self._wake.set()
