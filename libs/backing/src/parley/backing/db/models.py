"""The tables. Every row of a tenant carries its id; secrets are stored as hashes only."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from parley.backing.db.types import BIG_ID, DOCUMENT, SECONDS, UtcDateTime

_ID = String(64)
_NAME = String(255)


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can find it on both engines."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class TenantRow(Base):
    """A tenant; `settings` is a `TenantSettings`.

    `version` counts the changes of the tenant itself; `config_version` those of anything that a
    `TenantSnapshot` shows of it, its extensions included.
    """

    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    name: Mapped[str] = mapped_column(_NAME)
    enabled: Mapped[bool] = mapped_column(Boolean)
    settings: Mapped[Any] = mapped_column(DOCUMENT)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column(BIG_ID, server_default="1")
    config_version: Mapped[int] = mapped_column(BIG_ID, server_default="1")


class TenantDomainRow(Base):
    """A SIP domain, lower case, of exactly one tenant; position 0 is the primary one."""

    __tablename__ = "tenant_domains"
    __table_args__ = (UniqueConstraint("tenant_id", "position"),)

    domain: Mapped[str] = mapped_column(_NAME, primary_key=True)
    tenant_id: Mapped[str] = mapped_column(_ID, ForeignKey("tenants.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Integer)


class ExtensionRow(Base):
    """An extension; the ha1 columns hold H(auth_name:primary domain:password) in hex.

    `version` counts its changes.
    """

    __tablename__ = "extensions"
    __table_args__ = (
        UniqueConstraint("tenant_id", "number"),
        UniqueConstraint("tenant_id", "auth_name"),
    )

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    tenant_id: Mapped[str] = mapped_column(_ID, ForeignKey("tenants.id", ondelete="CASCADE"))
    number: Mapped[str] = mapped_column(String(64))
    # Looked up across tenants for phones that cannot send their domain.
    auth_name: Mapped[str] = mapped_column(_NAME, index=True)
    display_name: Mapped[str] = mapped_column(_NAME)
    ha1_md5: Mapped[str] = mapped_column(String(32))
    ha1_sha256: Mapped[str] = mapped_column(String(64))
    ring_timeout_s: Mapped[float | None] = mapped_column(Float)
    enabled: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column(BIG_ID, server_default="1")


class CdrRow(Base):
    """A call detail record; outlives its tenant, hence no foreign key."""

    __tablename__ = "cdrs"
    __table_args__ = (
        UniqueConstraint("tenant_id", "call_id"),
        Index(None, "tenant_id", "started_at", "id"),
        # Only so many characters: an index row has its limit, what phones send has not.
        *(
            Index(
                f"ix_cdrs_{party}", "tenant_id", text(f"substr({party}, 1, 64)"), "started_at", "id"
            )
            for party in ("caller", "callee", "dialled")
        ),
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    tenant_id: Mapped[str] = mapped_column(_ID)
    call_id: Mapped[str] = mapped_column(_NAME)
    caller: Mapped[str] = mapped_column(String)
    callee: Mapped[str] = mapped_column(String)
    dialled: Mapped[str] = mapped_column(String)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ringing_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime] = mapped_column(UtcDateTime)
    duration_s: Mapped[float] = mapped_column(SECONDS)
    result: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(String)
    sip_status: Mapped[int] = mapped_column(Integer)
    ended_by: Mapped[str] = mapped_column(String(32))
    legs: Mapped[Any] = mapped_column(DOCUMENT)
    media: Mapped[Any] = mapped_column(DOCUMENT)


class ApiTokenRow(Base):
    """A key to the REST API and WSI; only its SHA-256 is kept."""

    __tablename__ = "api_tokens"
    __table_args__ = (
        CheckConstraint(
            "(role = 'platform' AND tenant_id IS NULL)"
            " OR (role = 'tenant' AND tenant_id IS NOT NULL)",
            name="role_fits_tenant",
        ),
    )

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(_NAME)
    role: Mapped[str] = mapped_column(String(16))
    tenant_id: Mapped[str | None] = mapped_column(
        _ID, ForeignKey("tenants.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class OutboxRow(Base):
    """A bus record that belongs to a committed change and has not been published yet."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    topic: Mapped[str] = mapped_column(_NAME)
    key: Mapped[str] = mapped_column(_NAME)
    value: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SchemaRow(Base):
    """The one row says which code the schema still serves: that of this revision and newer."""

    __tablename__ = "schema_compatibility"

    oldest_code: Mapped[str] = mapped_column(String(32), primary_key=True)
