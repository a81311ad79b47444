"""The live call managers and which of them gets a call.

Each call manager registers with discovery and publishes its load every second. An edge reads all
reports once a second and chooses from memory: for a new call the less loaded of two candidates
(power of two choices), those of its own zone first while their load allows it; for a call whose
owner is gone the instance that rendezvous hashing names, so that every edge and the call managers'
own sweepers name the same one.

An instance lives as long as its report keeps changing; ages are measured on this edge's own
clock, so clocks that differ between machines do not matter. An instance that could not be reached
is avoided for some seconds whatever it reports. Degraded behaviour: while shared state does not
answer, the last view stays, without those that discovery saw leave and with those that it saw
come; so it does until everybody had time to report again. While discovery is away, the reports
alone count.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import inf
from typing import Final
from zlib import crc32

from parley.backing.discovery.base import Discovery, Instance, InstanceState
from parley.backing.errors import BackingError
from parley.backing.state.base import State
from parley.backing.state.loads import callmanager_loads
from parley.model import rendezvous
from parley.model.ids import InstanceId
from parley.model.load import Load
from parley.sip.hop import Hop

SERVICE_NAME: Final = "callmanager"
REPORT_LIFE_S: Final = 3.0
SUSPECT_S: Final = 2.0
SECOND_CHOICE_SALT: Final = b"2"
ZONE_FACTOR: Final = 1.5
"""The own zone is left when its mean load is this many times that of the others, and more."""
ZONE_SLACK_CALLS: Final = 20.0
"""How much more."""


@dataclass(slots=True)
class Candidate:
    """One call manager as an edge sees it.

    Attributes:
        load: calls it reported, plus those this edge sent it since.
        zone: where it runs; empty when discovery does not know.
    """

    instance: InstanceId
    hop: Hop
    load: float
    is_draining: bool
    zone: str = ""


class CallManagers:
    """The cached view; `refresh` is awaited once a second, everything else is immediate.

    Args:
        state: holds the load reports.
        discovery: knows zones, and who comes and goes.
        zone: this edge's own; empty: none is preferred.
        transport: the only one by which call managers are reached; None: any.
    """

    def __init__(
        self, state: State, discovery: Discovery, zone: str = "", *, transport: str | None = None
    ) -> None:
        self._loads = callmanager_loads(state)
        self._discovery = discovery
        self._zone = zone
        self._transport = transport
        self._live: dict[InstanceId, Candidate] = {}
        self._taking: list[Candidate] = []
        self._near: list[Candidate] = []
        self._by_address: dict[tuple[str, int], Candidate] = {}
        self._suspects: dict[str, float] = {}
        self._listed: dict[str, Instance] = {}
        # instance -> (time stamp of its last report, our clock when that stamp was first seen)
        self._heard: dict[str, tuple[float, float]] = {}
        self._is_silent = False
        self._waits_until = -inf
        state.on_new_generation(self._on_new_generation)

    @property
    def count(self) -> int:
        """Call managers that may be sent new calls."""
        return len(self._taking)

    async def refresh(self, now: float, wall_s: float) -> frozenset[str]:
        """Reads the load reports.

        Returns:
            Instances that were there before and are gone.

        Raises:
            BackingUnavailable: shared state did not answer; discovery's news are in the view.
        """
        before = frozenset(self._live)
        try:
            loads = (await self._loads.read()).values()
        except BackingError:
            self._is_silent = True
            self._view(self._without_reports())
            raise
        if self._is_silent:
            # Reports are as old as the silence was long, or forgotten.
            self._is_silent = False
            self._waits_until = now + REPORT_LIFE_S
        self._heard = {load.instance: self._hear(load, now, wall_s) for load in loads}
        fresh = {
            load.instance: _reported(load)
            for load in loads
            if now - self._heard[load.instance][1] <= REPORT_LIFE_S
        }
        if now < self._waits_until:
            live = self._without_reports()
            known = {name: one for name, one in fresh.items() if name in self._listed}
            self._view(live | (known if self._listed else fresh))
            return before.difference(self._live)
        self._listed = {one.id: one for one in self._discovery.instances(SERVICE_NAME)}
        known = {name: one for name, one in fresh.items() if name in self._listed}
        # Discovery that is away, or has not heard of anyone yet, excludes nobody.
        self._view(known or fresh)
        return before.difference(self._live)

    def _on_new_generation(self) -> None:
        self._is_silent = True

    def _hear(self, load: Load, now: float, wall_s: float) -> tuple[float, float]:
        before = self._heard.get(load.instance)
        if before is not None:
            return before if before[0] == load.at else (load.at, now)
        # Seen for the first time: it may be what a dead instance left behind.
        return load.at, now if abs(wall_s - load.at) <= REPORT_LIFE_S else -inf

    def _without_reports(self) -> dict[InstanceId, Candidate]:
        listed = {one.id: one for one in self._discovery.instances(SERVICE_NAME)}
        gone = self._listed.keys() - listed.keys() if listed else set()
        live = {name: one for name, one in self._live.items() if name not in gone}
        for name, instance in listed.items():
            if name not in live and instance.state is not InstanceState.STARTING:
                candidate = _listed(instance)
                if candidate is not None:
                    live[candidate.instance] = candidate
        if listed:
            self._listed = listed
        return live

    def _view(self, live: dict[InstanceId, Candidate]) -> None:
        if self._transport is not None:
            # Nothing goes plain where all else is TLS, whatever a report says.
            live = {k: one for k, one in live.items() if one.hop.transport == self._transport}
        for name, candidate in live.items():
            instance = self._listed.get(name)
            if instance is not None:
                candidate.zone = instance.zone
                if instance.state is InstanceState.DRAINING:
                    candidate.is_draining = True
        self._live = live
        self._taking = taking = [one for one in live.values() if not one.is_draining]
        near = [one for one in taking if one.zone == self._zone] if self._zone else []
        allowed = ZONE_FACTOR * _mean([one for one in taking if one not in near]) + ZONE_SLACK_CALLS
        self._near = near if near and _mean(near) <= allowed else taking
        self._by_address = {(one.hop.host, one.hop.port): one for one in live.values()}

    def choose(self, call_id: str, now: float, excluded: Collection[str] = ()) -> Candidate | None:
        """Picks the less loaded of two for a new call; None when there is none.

        The two are drawn by hashes of the call id, which is random to whoever makes the call, so no
        other randomness is needed.
        """
        pool = self._usable(self._near, now, excluded) or self._usable(self._taking, now, excluded)
        if not pool:
            return None
        key = call_id.encode()
        first = pool[crc32(key) % len(pool)]
        if len(pool) > 1:
            others = [one for one in pool if one is not first]
            second = others[crc32(SECOND_CHOICE_SALT + key) % len(others)]
            if second.load < first.load:
                first = second
        # Reports are a second old: counting what was sent since keeps edges from herding.
        first.load += 1.0
        return first

    def owner_or_successor(self, owner: str, call_id: str, now: float) -> Candidate | None:
        """Finds the owner of a call, draining or not, or who is to take the call over."""
        found = self._live.get(InstanceId(owner))
        if found is not None and not self.is_suspect(owner, now):
            return found
        return self.successor(call_id, now)

    def successor(
        self, call_id: str, now: float, excluded: Collection[str] = ()
    ) -> Candidate | None:
        """Names who takes a call over whose owner is gone; draining ones only if all are."""
        pool = self._usable(self._taking, now, excluded) or self._usable(
            self._live.values(), now, excluded
        )
        chosen = rendezvous.choose(call_id, [one.instance for one in pool])
        return None if chosen is None else self._live[InstanceId(chosen)]

    def find(self, instance: str) -> Candidate | None:
        """Returns a live instance, suspect or not."""
        return self._live.get(InstanceId(instance))

    def by_likelihood(self, owner: str, now: float) -> list[Candidate]:
        """Returns all live call managers, draining ones too, who has an unknown call rather first.

        That is the owner, if one is named, then the busiest; at last those that could not be
        reached just now.
        """
        return sorted(
            self._live.values(),
            key=lambda one: (
                self.is_suspect(one.instance, now),
                one.instance != owner,
                -one.load,
            ),
        )

    def at(self, host: str, port: int) -> Candidate | None:
        """Returns the live call manager that takes SIP at this address."""
        return self._by_address.get((host, port))

    def instance_at(self, host: str, port: int) -> str:
        """Names the call manager that takes SIP at this address; empty when none does."""
        found = self._by_address.get((host, port))
        return "" if found is None else found.instance

    def mark_unreachable(self, instance: str, now: float) -> None:
        """Avoids an instance that could not be reached, until it had time to be reported gone."""
        self._suspects[instance] = now + SUSPECT_S

    def is_suspect(self, instance: str, now: float) -> bool:
        """Says whether an instance could not be reached just now."""
        until = self._suspects.get(instance)
        if until is None:
            return False
        if now < until:
            return True
        del self._suspects[instance]
        return False

    def _usable(
        self, candidates: Iterable[Candidate], now: float, excluded: Collection[str]
    ) -> list[Candidate]:
        if not self._suspects and not excluded:
            return candidates if isinstance(candidates, list) else list(candidates)
        left = [one for one in candidates if one.instance not in excluded]
        return [one for one in left if not self.is_suspect(one.instance, now)]


def _mean(candidates: Collection[Candidate]) -> float:
    return sum(one.load for one in candidates) / len(candidates) if candidates else 0.0


def _reported(load: Load) -> Candidate:
    transport, host, port = load.address
    hop = Hop(transport, host, port)
    return Candidate(load.instance, hop, float(load.calls), load.draining)


def _listed(instance: Instance) -> Candidate | None:
    """Reads the address `transport:host:port` of a registration; None when it is another's."""
    transport, _, rest = instance.address.partition(":")
    host, _, port = rest.rpartition(":")
    if transport not in ("tcp", "tls", "local") or not host or not port.isdigit():
        return None
    hop = Hop(transport, host.strip("[]"), int(port))
    return Candidate(InstanceId(instance.id), hop, 0.0, is_draining=False)
