"""Two writers of one resource at a time: what both were told is done, is done.

The first writer stands still between its first statement and its next one, until the second has
committed or waits for a lock.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from parley.backing.db.engine import WRITE_TIMEOUT_S, Database
from parley.backing.db.extensions import ExtensionChange, ExtensionRepository, NewExtension
from parley.backing.db.tenants import TenantRepository
from parley.backing.db.tokens import TokenRepository
from parley.model.errors import Conflict, DomainError, NotFound
from parley.model.events import ConfigChanged
from parley.model.ids import ExtensionId, TenantId
from parley.sip.digest import ha1

MakeTenant = Callable[[str], Awaitable[TenantId]]
TakeConfigEvents = Callable[[], Awaitable[list[ConfigChanged]]]

# How long the second writer gets at most. Too little on a slow machine hides a fault, and never
# makes a test fail.
_HEAD_START_S = 0.5
_ENGINES = pytest.mark.parametrize("db", ["sqlite", "postgresql"], indirect=True)
pytestmark = _ENGINES


_WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


class _Slow:
    """A connection that stands still before its second statement."""

    def __init__(self, connection: AsyncConnection, pause: Callable[[], Awaitable[None]]) -> None:
        self._connection = connection
        self._pause = pause
        self._count = 0

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._connection, name)
        if name not in {"execute", "scalar", "scalars"}:
            return attribute

        async def run(*args: Any) -> Any:
            self._count += 1
            if self._count == 2:
                await self._pause()
            return await attribute(*args)

        return run


class _SlowWriter(Database):
    """The first of two writers; it shares the other's database."""

    def __init__(self, db: Database) -> None:
        self.__dict__ = db.__dict__.copy()
        self._db = db
        self.is_under_way = asyncio.Event()
        self.second_is_done = asyncio.Event()

    @asynccontextmanager
    async def write(self, timeout_s: float = WRITE_TIMEOUT_S) -> AsyncIterator[AsyncConnection]:
        async with super().write(timeout_s) as connection:
            yield _Slow(connection, self._pause)  # type: ignore[misc]

    async def _pause(self) -> None:
        self.is_under_way.set()
        until = self.clock_s() + _HEAD_START_S
        while not self.second_is_done.is_set() and self.clock_s() < until:
            if await self._somebody_waits():
                return
            await asyncio.sleep(0.005)

    async def _somebody_waits(self) -> bool:
        if self.is_sqlite:
            # Writers of one process wait in a queue of ours.
            await asyncio.sleep(0.02)
            return True
        async with self._db.read() as connection:
            return bool(await connection.scalar(_WAITING))

    @staticmethod
    def clock_s() -> float:
        return asyncio.get_running_loop().time()


class _Scene(NamedTuple):
    tenant: TenantId
    extension: ExtensionId


Action = Callable[[Database, _Scene], Awaitable[object]]
Check = Callable[[Database, _Scene], Awaitable[bool]]


class _Write(NamedTuple):
    """A write, and how to see that it was done."""

    act: Action
    is_done: Check


def _extension_change(change: ExtensionChange, **expected: object) -> _Write:
    async def act(db: Database, scene: _Scene) -> object:
        return await ExtensionRepository(db).update(scene.tenant, scene.extension, change)

    async def is_done(db: Database, scene: _Scene) -> bool:
        found = await ExtensionRepository(db).get(scene.tenant, scene.extension)
        return all(getattr(found, name) == value for name, value in expected.items())

    return _Write(act, is_done)


def _tenant_change(**change: Any) -> _Write:
    async def act(db: Database, scene: _Scene) -> object:
        return await TenantRepository(db).update(scene.tenant, **change)

    async def is_done(db: Database, scene: _Scene) -> bool:
        found = await TenantRepository(db).get(scene.tenant)
        return all(getattr(found, name) == value for name, value in change.items())

    return _Write(act, is_done)


def _settings_change(**change: Any) -> _Write:
    async def act(db: Database, scene: _Scene) -> object:
        return await TenantRepository(db).update(
            scene.tenant, settings=lambda old: replace(old, **change)
        )

    async def is_done(db: Database, scene: _Scene) -> bool:
        found = (await TenantRepository(db).get(scene.tenant)).settings
        return all(getattr(found, name) == value for name, value in change.items())

    return _Write(act, is_done)


async def _has_new_password(db: Database, scene: _Scene) -> bool:
    found = await ExtensionRepository(db).get(scene.tenant, scene.extension)
    domain = (await TenantRepository(db).get(scene.tenant)).domains[0]
    return found.ha1["MD5"] == ha1("1001", domain, "new", "MD5")


async def _no_extension(db: Database, scene: _Scene) -> bool:
    return not await ExtensionRepository(db).get_many(scene.tenant, [scene.extension])


async def _no_tenant(db: Database, scene: _Scene) -> bool:
    try:
        await TenantRepository(db).get(scene.tenant)
    except NotFound:
        left = await ExtensionRepository(db).list_page(scene.tenant)
        return not left and not await TokenRepository(db).list_all(scene.tenant)
    return False


async def _has_1003(db: Database, scene: _Scene) -> bool:
    return bool(await ExtensionRepository(db).find_named(scene.tenant, "1003"))


async def _has_domain(db: Database, scene: _Scene) -> bool:
    return f"{scene.tenant}.example" in (await TenantRepository(db).get(scene.tenant)).domains


async def _has_token(db: Database, scene: _Scene) -> bool:
    return bool(await TokenRepository(db).list_all(scene.tenant))


_WRITES = {
    "rename": _extension_change(ExtensionChange(display_name="Ann"), display_name="Ann"),
    "renumber": _extension_change(ExtensionChange(number="2001"), number="2001"),
    "disable": _extension_change(ExtensionChange(enabled=False), enabled=False),
    "ring-longer": _extension_change(ExtensionChange(ring_timeout_s=9), ring_timeout_s=9),
    "reset-password": _Write(
        lambda db, scene: ExtensionRepository(db).update(
            scene.tenant, scene.extension, ExtensionChange(password="new")
        ),
        _has_new_password,
    ),
    "delete": _Write(
        lambda db, scene: ExtensionRepository(db).delete(scene.tenant, scene.extension),
        _no_extension,
    ),
    "create": _Write(
        lambda db, scene: ExtensionRepository(db).create_many(
            scene.tenant, [NewExtension(number="1003", password="pw")]
        ),
        _has_1003,
    ),
    "tenant-rename": _tenant_change(name="Demo Ltd"),
    "tenant-disable": _tenant_change(enabled=False),
    "tenant-settings": _settings_change(ring_timeout_s=9),
    "tenant-bindings": _settings_change(max_bindings=3),
    "echo-1003": _settings_change(echo_number="1003"),
    "echo-2001": _settings_change(echo_number="2001"),
    "tenant-domains": _Write(
        lambda db, scene: TenantRepository(db).update(
            scene.tenant, further_domains=[f"{scene.tenant}.example"]
        ),
        _has_domain,
    ),
    "tenant-delete": _Write(
        lambda db, scene: TenantRepository(db).delete(scene.tenant), _no_tenant
    ),
    "token": _Write(lambda db, scene: TokenRepository(db).create("key", scene.tenant), _has_token),
}
_EXTENSION = ("rename", "renumber", "disable", "ring-longer", "reset-password")
_TENANT = (
    "tenant-rename",
    "tenant-disable",
    "tenant-settings",
    "tenant-bindings",
    "tenant-domains",
)
_CONCURRENT = {
    **dict.fromkeys(_EXTENSION, (*_EXTENSION, "create", "tenant-rename")),
    **dict.fromkeys(_TENANT, (*_TENANT, "rename", "create", "token", "delete")),
    **dict.fromkeys(("create", "token", "delete"), ("tenant-rename", "tenant-domains")),
}


async def _race(db: Database, scene: _Scene, first: str, second: str) -> list[object]:
    """Runs two writes at a time; returns what each returned or raised."""
    slow = _SlowWriter(db)
    leading = asyncio.ensure_future(_WRITES[first].act(slow, scene))
    passed = asyncio.ensure_future(slow.is_under_way.wait())
    await asyncio.wait([leading, passed], return_when=asyncio.FIRST_COMPLETED)
    passed.cancel()
    following = asyncio.ensure_future(_WRITES[second].act(db, scene))
    following.add_done_callback(lambda _: slow.second_is_done.set())
    return [*await asyncio.gather(leading, following, return_exceptions=True)]


MakeScene = Callable[[], Awaitable[_Scene]]


@pytest.fixture
def make_scene(db: Database, make_tenant: MakeTenant) -> MakeScene:
    """Makes one more tenant."""
    names = (f"demo{number}" for number in count())

    async def make() -> _Scene:
        tenant = await make_tenant(next(names))
        (extension, _) = await ExtensionRepository(db).list_page(tenant)
        return _Scene(tenant, extension.id)

    return make


@pytest.mark.parametrize("first", [*_EXTENSION, *_TENANT, "create", "token", "delete"])
async def test_two_changes_at_a_time_are_both_there(
    db: Database, make_scene: MakeScene, first: str
) -> None:
    lost = []
    for second in _CONCURRENT[first]:
        scene = await make_scene()
        results = await _race(db, scene, first, second)
        if any(isinstance(result, BaseException) for result in results):
            lost.append((second, results))
        elif not (
            await _WRITES[first].is_done(db, scene) and await _WRITES[second].is_done(db, scene)
        ):
            lost.append((second, []))

    assert lost == []


@pytest.mark.parametrize("change", [*_EXTENSION, *_TENANT, "create", "token", "delete"])
@pytest.mark.parametrize("removal_is_first", [True, False])
async def test_what_was_deleted_stays_deleted_whatever_else_is_changed(
    db: Database, make_scene: MakeScene, change: str, removal_is_first: bool
) -> None:
    wrong = []
    for removal in ("delete", "tenant-delete") if change in _EXTENSION else ("tenant-delete",):
        scene = await make_scene()
        order = (removal, change) if removal_is_first else (change, removal)
        results = await _race(db, scene, *order)
        errors = [result for result in results if isinstance(result, BaseException)]
        if not await _WRITES[removal].is_done(db, scene) or not all(
            isinstance(error, NotFound) for error in errors
        ):
            wrong.append((removal, errors))

    assert wrong == []


@pytest.mark.parametrize("write", ["create", "renumber"])
async def test_one_of_two_that_want_the_same_number_is_refused(
    db: Database, make_scene: MakeScene, write: str
) -> None:
    scene = await make_scene()
    other = "create" if write == "create" else "renumber-1002"
    (_, second) = await ExtensionRepository(db).list_page(scene.tenant)
    _WRITES["renumber-1002"] = _Write(
        lambda db, scene: ExtensionRepository(db).update(
            scene.tenant, second.id, ExtensionChange(number="2001")
        ),
        _has_1003,
    )

    results = await _race(db, scene, write, other)

    errors = [result for result in results if isinstance(result, DomainError)]
    assert [error.error_id for error in errors] == ["extension-exists"]
    assert isinstance(errors[0], Conflict)


@pytest.mark.parametrize(
    ("extension", "service"), [("create", "echo-1003"), ("renumber", "echo-2001")]
)
async def test_a_number_becomes_an_extension_or_a_service_number_and_never_both(
    db: Database, make_scene: MakeScene, extension: str, service: str
) -> None:
    refusals = []
    for first, second in ((extension, service), (service, extension)):
        results = await _race(db, await make_scene(), first, second)
        refusals += [result.error_id for result in results if isinstance(result, DomainError)]

    assert refusals == ["echo-number-taken", "number-reserved"]


async def test_changes_of_one_tenant_are_told_in_the_order_of_their_commits(
    db: Database, make_scene: MakeScene, take_config_events: TakeConfigEvents
) -> None:
    scene = await make_scene()
    await take_config_events()

    before = await _version(db, scene)
    await _race(db, scene, "rename", "create")
    await _race(db, scene, "tenant-rename", "disable")

    events = await take_config_events()
    assert [event.sequence for event in events] == [before + n for n in (1, 2, 3, 4)]
    assert await _version(db, scene) == before + 4


async def _version(db: Database, scene: _Scene) -> int:
    snapshot = await TenantRepository(db).load_snapshot(scene.tenant)
    assert snapshot is not None
    return snapshot.version
