"""The embedded discovery: one process knows all its instances itself."""

import asyncio
from collections import deque

import msgspec

from parley.backing.discovery.base import Instance, InstanceState, WatchCallback
from parley.backing.discovery.watches import ServiceWatch, Watches
from parley.backing.errors import BackingUnavailable


class EmbeddedDiscovery:
    """Implements `Discovery` for one process."""

    def __init__(self) -> None:
        self._services: dict[str, dict[str, Instance]] = {}
        self._watches = Watches(self.instances)
        self._elections: dict[str, _Election] = {}
        self._is_closed = False

    async def start(self) -> None:
        """Nothing has to be opened."""

    async def aclose(self) -> None:
        """Ends all candidacies, registrations and watches."""
        self._is_closed = True
        for election in self._elections.values():
            election.end()
        self._watches.close()
        self._services.clear()

    @property
    def is_settled(self) -> bool:
        """True while it is open: one process knows all its instances."""
        return not self._is_closed

    async def register(self, instance: Instance) -> "_Registration":
        """Announces an instance."""
        self._refuse_when_closed()
        if instance.id in self._services.get(instance.service, {}):
            raise ValueError(f"instance {instance.id} is registered already")
        self._show(instance)
        return _Registration(self, instance)

    def instances(self, service: str) -> list[Instance]:
        """Returns the view, ordered by id."""
        return sorted(self._services.get(service, {}).values(), key=_id)

    def watch(self, service: str, callback: WatchCallback) -> ServiceWatch:
        """Calls back soon with the present view, and after every change."""
        self._refuse_when_closed()
        return self._watches.add(service, callback)

    async def elect(self, name: str, candidate: str) -> "_Candidacy":
        """Stands for election."""
        self._refuse_when_closed()
        election = self._elections.setdefault(name, _Election())
        candidacy = _Candidacy(election, candidate)
        election.enter(candidacy)
        return candidacy

    def _refuse_when_closed(self) -> None:
        if self._is_closed:
            raise BackingUnavailable("the discovery session is closed")

    def _show(self, instance: Instance) -> None:
        self._services.setdefault(instance.service, {})[instance.id] = instance
        self._watches.notify(instance.service)

    def _hide(self, instance: Instance) -> None:
        if self._services.get(instance.service, {}).pop(instance.id, None) is not None:
            self._watches.notify(instance.service)


class _Registration:
    """An instance's own entry."""

    def __init__(self, discovery: EmbeddedDiscovery, instance: Instance) -> None:
        self._discovery = discovery
        self._instance = instance
        self._is_closed = False

    async def update(
        self, *, state: InstanceState | None = None, address: str | None = None
    ) -> None:
        """Changes what others see."""
        if self._is_closed:
            raise BackingUnavailable(f"instance {self._instance.id} is not registered any more")
        self._discovery._refuse_when_closed()
        self._instance = msgspec.structs.replace(
            self._instance,
            state=self._instance.state if state is None else state,
            address=self._instance.address if address is None else address,
        )
        self._discovery._show(self._instance)

    async def aclose(self) -> None:
        """Removes the entry."""
        if not self._is_closed:
            self._is_closed = True
            self._discovery._hide(self._instance)


class _Election:
    """Candidates of one name in order of arrival; the first one leads."""

    def __init__(self) -> None:
        self._candidates: deque[_Candidacy] = deque()
        self._epoch = 0

    def enter(self, candidacy: "_Candidacy") -> None:
        """Adds a candidate at the end."""
        self._candidates.append(candidacy)
        self._promote()

    def leave(self, candidacy: "_Candidacy") -> None:
        """Removes a candidate; the next one leads if it did."""
        if candidacy in self._candidates:
            self._candidates.remove(candidacy)
            self._promote()

    def end(self) -> None:
        """Removes all candidates; nobody leads."""
        candidates = list(self._candidates)
        self._candidates.clear()
        for candidacy in candidates:
            candidacy.resign()

    def _promote(self) -> None:
        if self._candidates and not self._candidates[0].is_leader:
            self._epoch += 1
            self._candidates[0].lead(self._epoch)


class _Candidacy:
    """One candidate of an election; implements `Leadership`."""

    def __init__(self, election: _Election, candidate: str) -> None:
        self._election = election
        self.candidate = candidate
        self.epoch = 0
        self._elected = asyncio.Event()
        self._over = asyncio.Event()

    @property
    def is_leader(self) -> bool:
        """True while this candidate leads."""
        return self._elected.is_set() and not self._over.is_set()

    def lead(self, epoch: int) -> None:
        """Makes this candidate the leader."""
        self.epoch = epoch
        self._elected.set()

    def resign(self) -> None:
        """Ends the candidacy and wakes who waits for anything."""
        self._over.set()
        self._elected.set()
        self._election.leave(self)

    async def wait_elected(self) -> None:
        """Returns when this candidate leads."""
        await self._elected.wait()
        if self._over.is_set():
            raise BackingUnavailable(f"{self.candidate} does not stand for election any more")

    async def wait_lost(self) -> None:
        """Returns when this candidate does not lead any more."""
        await self._over.wait()

    async def aclose(self) -> None:
        """Resigns; the next candidate leads."""
        self.resign()


def _id(instance: Instance) -> str:
    return instance.id
