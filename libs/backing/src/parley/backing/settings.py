"""Settings of the backing services, `PARLEY_BACKING_*`; by default embedded, on local disk."""

from enum import Enum
from pathlib import Path

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from parley.backing.journal import SyncPolicy
from parley.service.settings import CommaList, Settings


class Adapter(Enum):
    """Which implementation a port has. The real ones are chosen by their own names."""

    EMBEDDED = "embedded"


class BackingSettings(Settings):
    """Where shared things are kept.

    Attributes:
        data: folder of everything that outlives a restart.
        state: adapter of the state port.
        bus: adapter of the bus port.
        discovery: adapter of the discovery port.
        blobs: adapter of the blob port.
        database_url: SQLAlchemy URL; a SQLite file in the data folder unless given.
        is_durable: False keeps state, bus and database in memory only (tests, trials).
        sync: when journals are forced to the medium: never, interval (each second) or always.
        bus_partitions: partitions of a new topic.
        bus_keep_records: consumed records per partition that stay for consumer groups to come.
        bus_max_records: records per partition after which publishing is refused.
        bus_attempts: how often a record is handed to a failing handler before it is put aside.
        bus_volatile_topics: topics that are kept in memory only.
    """

    model_config = SettingsConfigDict(env_prefix="PARLEY_BACKING_")

    data: Path = Path("var")
    state: Adapter = Adapter.EMBEDDED
    bus: Adapter = Adapter.EMBEDDED
    discovery: Adapter = Adapter.EMBEDDED
    blobs: Adapter = Adapter.EMBEDDED
    database_url: SecretStr | None = None
    is_durable: bool = True
    sync: SyncPolicy = SyncPolicy.INTERVAL
    bus_partitions: int = Field(default=8, ge=1, le=1024)
    bus_keep_records: int = Field(default=1000, ge=0)
    bus_max_records: int = Field(default=50_000, ge=1)
    bus_attempts: int = Field(default=5, ge=1)
    bus_volatile_topics: CommaList = ()

    @model_validator(mode="after")
    def _check_bus_bounds(self) -> "BackingSettings":
        if self.bus_keep_records >= self.bus_max_records:
            raise ValueError("the bus must take more records than it keeps for groups to come")
        return self
