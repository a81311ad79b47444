"""Tenants, domains, extensions, CDRs, API tokens and the outbox."""

import sqlalchemy as sa
from alembic import op

from parley.backing.db.types import BIG_ID, DOCUMENT, SECONDS, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_tenants()
    _create_extensions()
    _create_cdrs()
    _create_api_tokens()
    op.create_table(
        "outbox",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("topic", sa.String(255), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )


def _tenant_id(*, nullable: bool = False) -> sa.Column[str]:
    reference = sa.ForeignKey("tenants.id", ondelete="CASCADE")
    return sa.Column("tenant_id", sa.String(64), reference, nullable=nullable)


def _create_tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("settings", DOCUMENT, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "tenant_domains",
        sa.Column("domain", sa.String(255), primary_key=True),
        _tenant_id(),
        sa.Column("position", sa.Integer, nullable=False),
        sa.UniqueConstraint("tenant_id", "position"),
    )


def _create_extensions() -> None:
    op.create_table(
        "extensions",
        sa.Column("id", sa.String(64), primary_key=True),
        _tenant_id(),
        sa.Column("number", sa.String(64), nullable=False),
        sa.Column("auth_name", sa.String(255), nullable=False),
        sa.Column("display_name", sa.String(255), nullable=False),
        sa.Column("ha1_md5", sa.String(32), nullable=False),
        sa.Column("ha1_sha256", sa.String(64), nullable=False),
        sa.Column("ring_timeout_s", sa.Float, nullable=True),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("tenant_id", "number"),
        sa.UniqueConstraint("tenant_id", "auth_name"),
    )
    op.create_index("ix_extensions_auth_name", "extensions", ["auth_name"])


def _create_cdrs() -> None:
    op.create_table(
        "cdrs",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("call_id", sa.String(255), nullable=False),
        sa.Column("caller", sa.String, nullable=False),
        sa.Column("callee", sa.String, nullable=False),
        sa.Column("dialled", sa.String, nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("ringing_at", UtcDateTime, nullable=True),
        sa.Column("answered_at", UtcDateTime, nullable=True),
        sa.Column("ended_at", UtcDateTime, nullable=False),
        sa.Column("duration_s", SECONDS, nullable=False),
        sa.Column("result", sa.String(32), nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("sip_status", sa.Integer, nullable=False),
        sa.Column("ended_by", sa.String(32), nullable=False),
        sa.Column("legs", DOCUMENT, nullable=False),
        sa.Column("media", DOCUMENT, nullable=False),
        sa.UniqueConstraint("tenant_id", "call_id"),
    )
    op.create_index("ix_cdrs_tenant_id_started_at_id", "cdrs", ["tenant_id", "started_at", "id"])


def _create_api_tokens() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("token_sha256", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        _tenant_id(nullable=True),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=True),
        sa.UniqueConstraint("token_sha256"),
        sa.CheckConstraint(
            "(role = 'platform' AND tenant_id IS NULL)"
            " OR (role = 'tenant' AND tenant_id IS NOT NULL)",
            name="role_fits_tenant",
        ),
    )
    op.create_index("ix_api_tokens_tenant_id", "api_tokens", ["tenant_id"])
