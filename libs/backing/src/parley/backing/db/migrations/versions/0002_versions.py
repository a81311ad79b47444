"""Versions of tenants and extensions, and which code the schema serves; CDRs found by party."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from parley.backing.db.types import BIG_ID

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, column in (
        ("tenants", "version"),
        ("tenants", "config_version"),
        ("extensions", "version"),
    ):
        op.add_column(table, sa.Column(column, BIG_ID, nullable=False, server_default="1"))
    for party in ("caller", "callee", "dialled"):
        columns: list[Any] = ["tenant_id", sa.text(f"substr({party}, 1, 64)"), "started_at", "id"]
        op.create_index(f"ix_cdrs_{party}", "cdrs", columns)
    compatibility = op.create_table(
        "schema_compatibility",
        sa.Column("oldest_code", sa.String(32), primary_key=True),
    )
    op.bulk_insert(compatibility, [{"oldest_code": "0001"}])
