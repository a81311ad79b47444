"""The state of a running cluster, as seen from outside: discovery, shared state, health ports.

Everything is read through the ports of `parley.backing`, by the addresses in `control.json`.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final, Protocol, TypeVar

from msgspec import Struct
from tests.cluster.control import Control, ProcessEntry
from tests.cluster.guard import birth
from tests.cluster.readiness import is_ready
from tests.cluster.topology import HEALTH, SERVICES

from parley.backing.discovery.base import Discovery
from parley.backing.errors import BackingError
from parley.backing.factory import Port, create_backing
from parley.backing.settings import BackingSettings
from parley.backing.state.base import State
from parley.backing.state.leases import Leases
from parley.backing.state.live_calls import LiveCalls
from parley.backing.state.loads import callmanager_loads, relay_loads
from parley.service.clock import Clock, SystemClock
from parley.service.errors import StartError
from parley.service.metrics import Registry

_TIMEOUT_S: Final = 5.0
_VIEW_S: Final = 2.0
_POLL_S: Final = 0.05
_T = TypeVar("_T")


class InstanceStatus(Struct, frozen=True, kw_only=True):
    """An instance in discovery."""

    service: str
    id: str
    address: str
    zone: str
    version: str
    state: str


class CallManagerStatus(Struct, frozen=True, kw_only=True):
    """A call manager's load report, lease and calls.

    Attributes:
        age_s: of the report; None when there is none.
        has_lease: the others take it for alive.
        owned: calls that shared state says are its own.
    """

    instance: str
    calls: int | None
    cpu: float | None
    age_s: float | None
    is_draining: bool
    has_lease: bool
    owned: int


class RelayStatus(Struct, frozen=True, kw_only=True):
    """A media relay's load report."""

    instance: str
    address: str
    sessions: int
    capacity: int
    zone: str
    age_s: float
    is_draining: bool


class ServerStatus(Struct, frozen=True, kw_only=True):
    """A backing server."""

    name: str
    url: str
    pid: int
    is_running: bool


class ProcessStatus(Struct, frozen=True, kw_only=True):
    """A process of a service."""

    name: str
    pid: int
    health: str
    is_ready: bool


class ClusterStatus(Struct, frozen=True, kw_only=True):
    """All of it; `problems` says in sentences what could not be read."""

    servers: list[ServerStatus]
    processes: list[ProcessStatus]
    instances: list[InstanceStatus]
    callmanagers: list[CallManagerStatus]
    relays: list[RelayStatus]
    problems: list[str]


class _Part(Protocol):
    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


async def gather(control: Control, clock: Clock | None = None) -> ClusterStatus:
    """Reads everything; what cannot be reached becomes a problem, not an error."""
    clock = clock or SystemClock()
    problems: list[str] = []
    ready = await asyncio.gather(*(_is_ready(each) for each in control.processes))
    instances: list[InstanceStatus] = []
    callmanagers: list[CallManagerStatus] = []
    relays: list[RelayStatus] = []
    async with _ports(control.backing, clock, problems) as (discovery, state):
        if discovery is not None:
            expected = {each.name for each in control.processes if _is_named(each)}
            instances = await _instances(discovery, expected, clock)
        if state is not None:
            callmanagers = await _kept(call_managers(state, clock), problems) or []
            relays = await _kept(media_relays(state, clock), problems) or []
    return ClusterStatus(
        servers=[
            ServerStatus(name=each.name, url=each.url, pid=each.pid, is_running=_lives(each.pid))
            for each in control.servers
        ],
        processes=[
            ProcessStatus(name=each.name, pid=each.pid, health=each.health, is_ready=is_up)
            for each, is_up in zip(control.processes, ready, strict=True)
        ],
        instances=instances,
        callmanagers=callmanagers,
        relays=relays,
        problems=problems,
    )


async def call_managers(state: State, clock: Clock) -> list[CallManagerStatus]:
    """Reads the call managers that report, or that still own calls.

    Raises:
        BackingUnavailable: shared state does not answer.
    """
    reports = await callmanager_loads(state).read()
    leases = Leases(state)
    names = sorted({*reports, *await leases.owners()})
    living = await leases.living(names)
    found = []
    for name in names:
        load = reports.get(name)
        found.append(
            CallManagerStatus(
                instance=name,
                calls=None if load is None else load.calls,
                cpu=None if load is None else load.cpu,
                age_s=None if load is None else round(clock.wall_s() - load.at, 1),
                is_draining=load is not None and load.draining,
                has_lease=name in living,
                owned=len(await LiveCalls(state).owned_by(name)),
            )
        )
    return found


async def media_relays(state: State, clock: Clock) -> list[RelayStatus]:
    """Reads the media relays' reports.

    Raises:
        BackingUnavailable: shared state does not answer.
    """
    reports = await relay_loads(state).read()
    return [
        RelayStatus(
            instance=load.instance,
            address=load.address,
            sessions=load.sessions,
            capacity=load.capacity,
            zone=load.zone,
            age_s=round(clock.wall_s() - load.at, 1),
            is_draining=load.draining,
        )
        for _, load in sorted(reports.items())
    ]


async def _instances(
    discovery: Discovery, expected: set[str], clock: Clock
) -> list[InstanceStatus]:
    # Views fill after the start: they are read when all that ought to be there is, or a bit later.
    services = [spec.service for spec in SERVICES if spec.is_named]
    until = clock.now() + _VIEW_S
    while True:
        found = [each for service in services for each in discovery.instances(service)]
        if len(found) >= len(expected) or clock.now() > until:
            break
        await asyncio.sleep(_POLL_S)
    return [
        InstanceStatus(
            service=each.service,
            id=each.id,
            address=each.address,
            zone=each.zone,
            version=each.version,
            state=each.state.value,
        )
        for each in found
    ]


@asynccontextmanager
async def _ports(
    environment: Mapping[str, str], clock: Clock, problems: list[str]
) -> AsyncIterator[tuple[Discovery | None, State | None]]:
    """Opens discovery and state, each alone: what is away is told and left out."""
    with _environment(environment):
        backing = create_backing(
            Port.STATE | Port.DISCOVERY, BackingSettings.load(), clock, Registry()
        )
    async with AsyncExitStack() as opened:
        discovery = await _opened(opened, backing.discovery, "Discovery", problems)
        state = await _opened(opened, backing.state, "Shared state", problems)
        yield (
            backing.discovery if discovery else None,
            backing.state if state else None,
        )


async def _opened(opened: AsyncExitStack, part: _Part, name: str, problems: list[str]) -> bool:
    opened.push_async_callback(part.aclose)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await part.start()
    except (BackingError, StartError, OSError, TimeoutError) as error:
        problems.append(f"{name} cannot be reached: {error or 'no answer in time'}.")
        return False
    return True


async def _kept(reading: Awaitable[Sequence[_T]], problems: list[str]) -> list[_T] | None:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return list(await reading)
    except (BackingError, TimeoutError) as error:
        problems.append(f"Shared state does not answer: {error or 'no answer in time'}.")
        return None


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """The settings of the cluster in place of our own."""
    before = dict(os.environ)
    for key in [key for key in before if key.startswith("PARLEY_BACKING_")]:
        del os.environ[key]
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


async def _is_ready(entry: ProcessEntry) -> bool:
    return bool(entry.pid) and await is_ready(entry.host, entry.ports[HEALTH])


def _is_named(entry: ProcessEntry) -> bool:
    return any(spec.is_named for spec in SERVICES if spec.service == entry.service)


def _lives(pid: int) -> bool:
    return bool(pid) and bool(birth(pid))
