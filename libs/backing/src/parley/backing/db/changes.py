"""Changes of a tenant: one at a time, counted, and told to every cache.

A change locks the tenant's row first and announces itself last, in one transaction. So two changes
of one tenant never read the same state, the rows of the outbox that tell of them have ascending ids
in the order of their commits, and `config_version`, which is also the event's `sequence`, grows by
one with each: a reader that misses a number has missed a change.
"""

from collections.abc import Container
from typing import Any

import msgspec
from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from parley.backing.db.engine import Database
from parley.backing.db.models import TenantRow
from parley.backing.db.outbox import EVENT_SOURCE, OutboxRecord, add_to_outbox
from parley.model.errors import NotFound, VersionMismatch
from parley.model.events import ConfigChange, ConfigChanged, encode_event
from parley.model.ids import TenantId
from parley.model.tenant import TenantSettings

CONFIG_TOPIC = "config"


async def lock_tenant(connection: AsyncConnection, tenant_id: TenantId) -> Row[Any]:
    """Makes other changes of this tenant wait until the transaction ends.

    The lock leaves foreign keys to the row alone. SQLite has but one writer at a time anyway.

    Returns:
        The tenant's row, which stays as it is while the lock is held.

    Raises:
        NotFound: there is no such tenant.
    """
    query = select(TenantRow).where(TenantRow.id == tenant_id)
    row = (await connection.execute(query.with_for_update(key_share=True))).first()
    if row is None:
        raise NotFound(f"no tenant {tenant_id}", error_id="tenant-not-found")
    return row


def settings_from_row(row: Row[Any]) -> TenantSettings:
    """Makes the settings of a row of `tenants`."""
    return msgspec.convert(row.settings, TenantSettings)


def check_version(found: int, expected: Container[int] | None) -> None:
    """Refuses a change that was made with older versions in mind (`If-Match`).

    Raises:
        VersionMismatch: the version found is none of those expected.
    """
    if expected is not None and found not in expected:
        raise VersionMismatch(f"this is version {found} now, which was not expected")


async def announce_config(
    db: Database, connection: AsyncConnection, tenant_id: TenantId, change: ConfigChange
) -> int:
    """Counts a change and writes to the outbox what changed; the last step of a transaction.

    Returns:
        The tenant's new `config_version`; 0, which counts nothing, when the tenant was deleted.
    """
    counted = (
        update(TenantRow)
        .where(TenantRow.id == tenant_id)
        .values(config_version=TenantRow.config_version + 1)
        .returning(TenantRow.config_version)
    )
    sequence = await connection.scalar(counted) or 0
    event = ConfigChanged(
        id=db.ids.token(16),
        source=EVENT_SOURCE,
        time=db.clock.wall(),
        subject=tenant_id,
        tenantid=tenant_id,
        sequence=sequence,
        data=change,
    )
    record = OutboxRecord(CONFIG_TOPIC, tenant_id, encode_event(event))
    await add_to_outbox(db, connection, [record])
    return sequence
