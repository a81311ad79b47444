"""Column types that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime

from sqlalchemy import JSON, BigInteger, DateTime, Float, Integer, Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

BIG_ID: TypeEngine[int] = BigInteger().with_variant(Integer, "sqlite")
"""An ascending number; SQLite counts only its plain INTEGER by itself."""

DOCUMENT = JSON().with_variant(JSONB, "postgresql")
"""A msgspec struct or list of them, as JSON."""

SECONDS = Numeric(12, 3, asdecimal=False).with_variant(Float, "sqlite")
"""A duration to the millisecond."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time; SQLite, which knows no time zones, keeps it as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuses naive times: nobody could tell what they mean."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time has a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Gives SQLite's times their zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
