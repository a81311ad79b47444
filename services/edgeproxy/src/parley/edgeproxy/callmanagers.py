"""The live call managers and which of them gets a call.

Each call manager publishes its load every second into the hash `load:{callmanager}`. An edge
reads the hash once a second and chooses from memory: for a new call the less loaded of two
candidates (power of two choices), for a call whose owner is gone the instance that rendezvous
hashing names, so that every edge and the call managers' own sweepers name the same one.

An instance lives as long as its report keeps changing; ages are measured on this edge's own
clock, so clocks that differ between machines do not matter. Degraded behaviour: while shared
state does not answer, the last view stays valid. An instance that could not be reached is avoided
for some seconds whatever it reports.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from math import inf
from zlib import crc32

import msgspec

from parley.backing.discovery.base import Discovery, InstanceState
from parley.backing.state.base import State
from parley.model.ids import InstanceId
from parley.model.load import Load
from parley.sip.hop import Hop

LOAD_KEY = "load:{callmanager}"
SERVICE_NAME = "callmanager"
REPORT_LIFE_S = 3.0
SUSPECT_S = 2.0
SECOND_CHOICE_SALT = b"2"

_decode_load = msgspec.json.Decoder(Load).decode


@dataclass(slots=True)
class Candidate:
    """One call manager as an edge sees it.

    Attributes:
        load: calls it reported, plus those this edge sent it since.
    """

    instance: InstanceId
    hop: Hop
    load: float
    is_draining: bool


class CallManagers:
    """The cached view; `refresh` is awaited once a second, everything else is immediate."""

    def __init__(self, state: State, discovery: Discovery) -> None:
        self._state = state
        self._discovery = discovery
        self._live: dict[InstanceId, Candidate] = {}
        self._taking: list[Candidate] = []
        self._by_address: dict[tuple[str, int], str] = {}
        self._suspects: dict[str, float] = {}
        # instance -> (time stamp of its last report, our clock when that stamp was first seen)
        self._heard: dict[str, tuple[float, float]] = {}

    @property
    def count(self) -> int:
        """Call managers that may be sent new calls."""
        return len(self._taking)

    async def refresh(self, now: float, wall_s: float) -> None:
        """Reads the load reports; when that fails the last view stays.

        Raises:
            BackingUnavailable: shared state did not answer.
        """
        reports = await self._state.hash_get_all(LOAD_KEY)
        loads = [load for load in map(_read_load, reports.values()) if load is not None]
        self._heard = {load.instance: self._hear(load, now, wall_s) for load in loads}
        fresh = {
            load.instance: _candidate(load)
            for load in loads
            if now - self._heard[load.instance][1] <= REPORT_LIFE_S
        }
        listed = {one.id: one.state for one in self._discovery.instances(SERVICE_NAME)}
        for candidate in fresh.values():
            if listed.get(candidate.instance) is InstanceState.DRAINING:
                candidate.is_draining = True
        known = {name: one for name, one in fresh.items() if name in listed}
        # Discovery that is away, or has not heard of anyone yet, excludes nobody.
        self._live = known or fresh
        self._taking = [one for one in self._live.values() if not one.is_draining]
        self._by_address = {
            (one.hop.host, one.hop.port): one.instance for one in self._live.values()
        }

    def _hear(self, load: Load, now: float, wall_s: float) -> tuple[float, float]:
        before = self._heard.get(load.instance)
        if before is not None:
            return before if before[0] == load.at else (load.at, now)
        # Seen for the first time: it may be what a dead instance left behind.
        return load.at, now if abs(wall_s - load.at) <= REPORT_LIFE_S else -inf

    def choose(self, call_id: str, now: float, excluded: Collection[str] = ()) -> Candidate | None:
        """Picks the less loaded of two for a new call; None when there is none.

        The two are drawn by hashes of the call id, which is random, so no other randomness is
        needed.
        """
        pool = self._usable(self._taking, now, excluded)
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

    def owner_or_successor(
        self, owner: str, call_id: str, now: float, excluded: Collection[str] = ()
    ) -> Candidate | None:
        """Finds the owner of a call, draining or not, or who is to take the call over."""
        found = self._live.get(InstanceId(owner))
        if found is not None and owner not in excluded and not self._is_suspect(owner, now):
            return found
        pool = self._usable(self._taking, now, excluded) or self._usable(
            self._live.values(), now, excluded
        )
        return max(pool, key=lambda one: _weight(one.instance, call_id), default=None)

    def instance_at(self, host: str, port: int) -> str:
        """Names the call manager that takes SIP at this address; empty when none does."""
        return self._by_address.get((host, port), "")

    def is_address(self, host: str, port: int) -> bool:
        """Says whether a live call manager takes SIP at this address."""
        return (host, port) in self._by_address

    def mark_unreachable(self, instance: str, now: float) -> None:
        """Avoids an instance that could not be reached, until it had time to be reported gone."""
        self._suspects[instance] = now + SUSPECT_S

    def _usable(
        self, candidates: Iterable[Candidate], now: float, excluded: Collection[str]
    ) -> list[Candidate]:
        if not self._suspects and not excluded:
            return candidates if isinstance(candidates, list) else list(candidates)
        left = [one for one in candidates if one.instance not in excluded]
        return [one for one in left if not self._is_suspect(one.instance, now)]

    def _is_suspect(self, instance: str, now: float) -> bool:
        until = self._suspects.get(instance)
        if until is None:
            return False
        if now < until:
            return True
        del self._suspects[instance]
        return False


def _read_load(data: bytes) -> Load | None:
    try:
        return _decode_load(data)
    except msgspec.MsgspecError:
        return None


def _candidate(load: Load) -> Candidate:
    transport, host, port = load.address
    hop = Hop(transport, host, port)
    return Candidate(load.instance, hop, float(load.calls), load.draining)


def _weight(instance: str, call_id: str) -> bytes:
    """Rendezvous weight (highest random weight) of an instance for a call."""
    return blake2b(f"{instance}\0{call_id}".encode(), digest_size=8).digest()
