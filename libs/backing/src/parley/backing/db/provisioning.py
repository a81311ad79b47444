"""Sets up a tenant in one step: the tenant, its domains and its extensions, all or nothing."""

from collections.abc import Sequence

from msgspec import Struct, field

from parley.backing.db.changes import announce_config
from parley.backing.db.engine import Database
from parley.backing.db.extensions import ExtensionRepository, NewExtension, check_not_service
from parley.backing.db.tenants import TenantRepository, snapshot_of
from parley.model.events import ConfigAction, ConfigChange, ConfigKind
from parley.model.ids import TenantId
from parley.model.tenant import TenantSettings, TenantSnapshot

_TIMEOUT_S = 60.0


class NewTenant(Struct, frozen=True, kw_only=True):
    """A tenant to create; the first domain is the primary one and the digest realm."""

    name: str
    domains: Sequence[str]
    extensions: Sequence[NewExtension] = ()
    settings: TenantSettings = field(default_factory=TenantSettings)
    id: TenantId | None = None


async def provision_tenant(db: Database, new: NewTenant) -> TenantSnapshot:
    """Creates a tenant with its extensions in one transaction, announced as one event.

    Raises:
        Conflict: a domain, the id, a number or an auth name is taken, or an extension has a
            service number.
        InvalidValue: a value cannot be used.
    """
    check_not_service(new.settings, (extension.number for extension in new.extensions))
    async with db.write(_TIMEOUT_S) as connection:
        tenant = await TenantRepository(db).insert(
            connection, new.name, new.domains, new.settings, new.id
        )
        extensions = await ExtensionRepository(db).insert(
            connection, tenant.id, tenant.domains[0], new.extensions
        )
        change = ConfigChange(kind=ConfigKind.TENANT, action=ConfigAction.CREATED, ids=[tenant.id])
        version = await announce_config(db, connection, tenant.id, change)
    return snapshot_of(tenant, extensions, version)
