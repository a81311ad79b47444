"""The database contract: tenants and extensions, each change told to others."""

from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from parley.backing.db.engine import Database
from parley.backing.db.extensions import ExtensionChange, ExtensionRepository, NewExtension
from parley.backing.db.provisioning import NewTenant, provision_tenant
from parley.backing.db.tenants import TenantRepository
from parley.model.errors import Conflict, InvalidValue, NotFound, VersionMismatch
from parley.model.events import ConfigAction, ConfigChanged, ConfigKind
from parley.model.ids import ExtensionId, TenantId
from parley.model.tenant import TenantSettings
from parley.sip.digest import ha1

MakeTenant = Callable[[str], Awaitable[TenantId]]
TakeConfigEvents = Callable[[], Awaitable[list[ConfigChanged]]]


async def test_tenant_is_found_by_id_and_by_any_domain_in_any_case(db: Database) -> None:
    tenants = TenantRepository(db)
    settings = TenantSettings(ring_timeout_s=12.5)
    created = await tenants.create("Demo", ["Demo.Localhost", "demo.example."], settings)

    assert created.domains == ("demo.localhost", "demo.example")
    assert await tenants.get(created.id) == created
    assert await tenants.find_by_domain("DEMO.example") == created
    assert await tenants.find_by_domain("other.example") is None
    snapshot = await tenants.load_snapshot_by_domain("demo.example")
    assert snapshot is not None
    assert (snapshot.domain, snapshot.settings) == ("demo.localhost", settings)


async def test_check_lets_pass_the_tenants_that_there_are(db: Database) -> None:
    tenants = TenantRepository(db)
    created = await tenants.create("demo", ["demo.localhost"])

    await tenants.check(created.id)
    with pytest.raises(NotFound):
        await tenants.check(TenantId("nobody"))


async def test_domain_belongs_to_one_tenant(db: Database) -> None:
    tenants = TenantRepository(db)
    await tenants.create("one", ["one.localhost", "shared.localhost"])

    with pytest.raises(Conflict, match=r"shared\.localhost"):
        await tenants.create("two", ["two.localhost", "SHARED.localhost"])

    assert [tenant.name for tenant in await tenants.list_all()] == ["one"]


@pytest.mark.parametrize("domain", ["", "a b", "-x.example", "x..y", "é.example", "a" * 254])
async def test_domain_that_is_no_host_name_is_refused(db: Database, domain: str) -> None:
    with pytest.raises(InvalidValue):
        await TenantRepository(db).create("demo", [domain])


async def test_tenant_changes_and_tells_so(
    db: Database, take_config_events: TakeConfigEvents
) -> None:
    tenants = TenantRepository(db)
    tenant = await tenants.create("demo", ["demo.localhost"])
    await take_config_events()

    await tenants.update(
        tenant.id, name="Demo Ltd", enabled=False, further_domains=["demo.example"]
    )

    changed = await tenants.get(tenant.id)
    assert (changed.name, changed.enabled) == ("Demo Ltd", False)
    assert changed.domains == ("demo.localhost", "demo.example")
    (event,) = await take_config_events()
    assert (event.tenantid, event.source) == (tenant.id, "parley")
    assert (event.data.kind, event.data.action) == (ConfigKind.TENANT, ConfigAction.UPDATED)


async def test_tenants_are_listed_by_pages(db: Database) -> None:
    tenants = TenantRepository(db)
    for name in "abc":
        await tenants.create(name, [f"{name}.localhost"], tenant_id=TenantId(name))

    first = await tenants.list_all(limit=2)
    rest = await tenants.list_all(limit=2, after=first[-1].id)

    assert [tenant.name for tenant in (*first, *rest)] == ["a", "b", "c"]
    assert rest[0].domains == ("c.localhost",)


async def test_unknown_tenant_is_not_found(db: Database) -> None:
    with pytest.raises(NotFound):
        await TenantRepository(db).get(TenantId("nobody"))
    with pytest.raises(NotFound):
        await TenantRepository(db).update(TenantId("nobody"), name="x")


async def test_password_is_kept_as_ha1_of_the_primary_domain_only(
    db: Database, make_tenant: MakeTenant
) -> None:
    tenant_id = await make_tenant("demo")

    (extension, _) = await ExtensionRepository(db).list_page(tenant_id)

    assert extension.ha1 == {
        algorithm: ha1("1001", "demo.localhost", "pw", algorithm)
        for algorithm in ("MD5", "SHA-256")
    }


async def test_number_and_auth_name_are_unique_within_a_tenant_only(
    db: Database, make_tenant: MakeTenant
) -> None:
    extensions = ExtensionRepository(db)
    one, two = await make_tenant("one"), await make_tenant("two")

    with pytest.raises(Conflict):
        await extensions.create_many(one, [NewExtension(number="1001", password="x")])
    with pytest.raises(Conflict):
        taken = NewExtension(number="1003", auth_name="1002", password="x")
        await extensions.create_many(one, [NewExtension(number="1004", password="x"), taken])

    assert [entry.number for entry in await extensions.list_page(one)] == ["1001", "1002"]
    assert [entry.number for entry in await extensions.list_page(two)] == ["1001", "1002"]


@pytest.mark.parametrize(
    "new",
    [
        NewExtension(number="", password="x"),
        NewExtension(number="10 01", password="x"),
        NewExtension(number="1", password=""),
        NewExtension(number="1", password="x" * 256),
        NewExtension(number="1", password="x", auth_name='a"b'),
        NewExtension(number="1", password="x", auth_name="a:b"),
        NewExtension(number="1", password="x", ring_timeout_s=0),
    ],
)
async def test_unusable_extension_is_refused(
    db: Database, make_tenant: MakeTenant, new: NewExtension
) -> None:
    tenant_id = await make_tenant("demo")

    with pytest.raises(InvalidValue):
        await ExtensionRepository(db).create_many(tenant_id, [new])


async def test_extension_changes_and_tells_so(
    db: Database, make_tenant: MakeTenant, take_config_events: TakeConfigEvents
) -> None:
    extensions = ExtensionRepository(db)
    tenant_id = await make_tenant("demo")
    (old, _) = await extensions.list_page(tenant_id)
    await take_config_events()

    change = ExtensionChange(number="2001", display_name="Ann", ring_timeout_s=9, enabled=False)
    new = await extensions.update(tenant_id, old.id, change)

    assert new == await extensions.get(tenant_id, old.id)
    assert (new.number, new.display_name, new.ring_timeout_s) == ("2001", "Ann", 9)
    assert (new.enabled, new.ha1, new.auth_name) == (False, old.ha1, "1001")
    (event,) = await take_config_events()
    assert (event.data.kind, event.data.ids) == (ConfigKind.EXTENSION, [old.id])

    cleared = await extensions.update(tenant_id, old.id, ExtensionChange(clears_ring_timeout=True))
    assert cleared.ring_timeout_s is None


async def test_auth_name_changes_only_with_a_password(
    db: Database, make_tenant: MakeTenant
) -> None:
    extensions = ExtensionRepository(db)
    tenant_id = await make_tenant("demo")
    (old, _) = await extensions.list_page(tenant_id)

    with pytest.raises(InvalidValue, match="password"):
        await extensions.update(tenant_id, old.id, ExtensionChange(auth_name="ann"))

    change = ExtensionChange(auth_name="ann", password="new")
    new = await extensions.update(tenant_id, old.id, change)
    assert new.ha1["MD5"] == ha1("ann", "demo.localhost", "new", "MD5")


async def test_extension_of_another_tenant_cannot_be_touched(
    db: Database, make_tenant: MakeTenant
) -> None:
    extensions = ExtensionRepository(db)
    one, two = await make_tenant("one"), await make_tenant("two")
    (foreign, _) = await extensions.list_page(two)

    with pytest.raises(NotFound):
        await extensions.get(one, foreign.id)
    with pytest.raises(NotFound):
        await extensions.update(one, foreign.id, ExtensionChange(display_name="x"))
    assert not await extensions.delete(one, foreign.id)
    assert await extensions.get_many(one, [foreign.id]) == []


async def test_change_of_a_version_that_is_past_is_refused(
    db: Database, make_tenant: MakeTenant, take_config_events: TakeConfigEvents
) -> None:
    tenants, extensions = TenantRepository(db), ExtensionRepository(db)
    tenant_id = await make_tenant("demo")
    (old, _) = await extensions.list_page(tenant_id)
    new = await extensions.update(tenant_id, old.id, ExtensionChange(display_name="Ann"), {1})
    tenant = await tenants.update(tenant_id, name="Demo Ltd", expected_versions={1, 7})
    assert (old.version, new.version, tenant.version) == (1, 2, 2)
    assert await tenants.get(tenant_id) == tenant
    await take_config_events()

    with pytest.raises(VersionMismatch):
        await extensions.update(tenant_id, old.id, ExtensionChange(enabled=False), {1})
    with pytest.raises(VersionMismatch):
        await extensions.delete(tenant_id, old.id, {1})
    with pytest.raises(VersionMismatch):
        await tenants.update(tenant_id, enabled=False, expected_versions=())
    with pytest.raises(VersionMismatch):
        await tenants.delete(tenant_id, {1})

    assert await take_config_events() == []
    assert await extensions.delete(tenant_id, old.id, {new.version})
    assert await tenants.delete(tenant_id, {tenant.version})


async def test_change_of_nothing_is_not_told(
    db: Database, make_tenant: MakeTenant, take_config_events: TakeConfigEvents
) -> None:
    tenants, extensions = TenantRepository(db), ExtensionRepository(db)
    tenant_id = await make_tenant("demo")
    (old, _) = await extensions.list_page(tenant_id)
    await take_config_events()

    assert await extensions.update(tenant_id, old.id, ExtensionChange()) == old
    await tenants.update(tenant_id)

    assert await take_config_events() == []


async def test_extensions_of_a_tenant_that_is_not_there_are_refused_as_what_they_are(
    db: Database,
) -> None:
    new = [NewExtension(number="1001", password="pw")]

    with pytest.raises(NotFound, match="no tenant nobody"):
        await ExtensionRepository(db).create_many(TenantId("nobody"), new)
    with pytest.raises(NotFound, match="no tenant nobody"):
        async with db.write() as connection:
            await ExtensionRepository(db).insert(connection, TenantId("nobody"), "d.test", new)


async def test_settings_of_a_tenant_whose_extension_has_a_service_number_change(
    db: Database, make_tenant: MakeTenant
) -> None:
    tenants = TenantRepository(db)
    tenant_id = await make_tenant("demo")
    async with db.write() as connection:
        new = [NewExtension(number="999", password="pw")]
        await ExtensionRepository(db).insert(connection, tenant_id, "demo.localhost", new)

    changed = await tenants.update(tenant_id, settings=lambda old: replace(old, max_bindings=3))

    assert (changed.settings.echo_number, changed.settings.max_bindings) == ("999", 3)


async def test_deleted_extension_is_gone_and_told(
    db: Database, make_tenant: MakeTenant, take_config_events: TakeConfigEvents
) -> None:
    extensions = ExtensionRepository(db)
    tenant_id = await make_tenant("demo")
    (old, _) = await extensions.list_page(tenant_id)
    await take_config_events()

    assert await extensions.delete(tenant_id, old.id)
    assert not await extensions.delete(tenant_id, ExtensionId("nobody"))

    (event,) = await take_config_events()
    assert (event.data.action, event.data.ids) == (ConfigAction.DELETED, [old.id])


async def test_auth_name_is_found_among_all_tenants_if_it_is_unique(
    db: Database, make_tenant: MakeTenant
) -> None:
    extensions = ExtensionRepository(db)
    one = await make_tenant("one")
    await make_tenant("two")
    await extensions.create_many(one, [NewExtension(number="7", auth_name="lobby", password="x")])

    found = await extensions.find_by_auth_name("lobby")

    assert found is not None
    assert (found.tenant_id, found.number) == (one, "7")
    assert await extensions.find_by_auth_name("1001") is None
    assert await extensions.find_by_auth_name("nobody") is None


async def test_thousands_of_extensions_are_provisioned_at_once(
    db: Database, take_config_events: TakeConfigEvents
) -> None:
    new = NewTenant(
        name="big",
        domains=["big.localhost"],
        extensions=[NewExtension(number=str(n), password="pw") for n in range(10_000, 13_000)],
    )

    snapshot = await provision_tenant(db, new)

    assert len(snapshot.extensions) == 3000
    assert await TenantRepository(db).load_snapshot(snapshot.id) == snapshot
    (event,) = await take_config_events()
    assert (event.data.kind, event.data.action) == (ConfigKind.TENANT, ConfigAction.CREATED)


async def test_no_tenant_is_provisioned_whose_extension_has_a_service_number(db: Database) -> None:
    echo = [NewExtension(number="999", password="pw")]

    with pytest.raises(Conflict, match="999 is a service number"):
        await provision_tenant(
            db, NewTenant(name="demo", domains=["demo.localhost"], extensions=echo)
        )

    assert await TenantRepository(db).list_all() == []


async def test_provisioning_is_all_or_nothing(
    db: Database, take_config_events: TakeConfigEvents
) -> None:
    twice = [NewExtension(number="1", password="x"), NewExtension(number="1", password="x")]

    with pytest.raises(Conflict):
        await provision_tenant(
            db, NewTenant(name="demo", domains=["demo.localhost"], extensions=twice)
        )

    assert await TenantRepository(db).list_all() == []
    assert await take_config_events() == []
