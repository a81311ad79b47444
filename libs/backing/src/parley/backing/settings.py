"""Settings of the backing services, `PARLEY_BACKING_*`; by default embedded, on local disk."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from parley.backing.blobs.s3_place import bucket_and_folder
from parley.backing.bus.kafka_options import SASL_MECHANISMS, is_tls, servers_of
from parley.backing.discovery.zookeeper_url import parse_zookeeper_url
from parley.backing.journal import SyncPolicy
from parley.service.settings import CommaList, Settings
from parley.service.tls import TlsFiles


class Adapter(Enum):
    """Which implementation a port has. The real ones are chosen by their own names."""

    EMBEDDED = "embedded"
    REDIS = "redis"
    KAFKA = "kafka"
    ZOOKEEPER = "zookeeper"
    S3 = "s3"


_FITTING = {
    "state": (Adapter.EMBEDDED, Adapter.REDIS),
    "bus": (Adapter.EMBEDDED, Adapter.KAFKA),
    "discovery": (Adapter.EMBEDDED, Adapter.ZOOKEEPER),
    "blobs": (Adapter.EMBEDDED, Adapter.S3),
}


class BackingSettings(Settings):
    """Where shared things are kept.

    Attributes:
        data: folder of everything that outlives a restart.
        state: adapter of the state port.
        bus: adapter of the bus port.
        discovery: adapter of the discovery port.
        blobs: adapter of the blob port.
        database_url: SQLAlchemy URL; a SQLite file in the data folder unless given. With
            `?sslmode=verify-full` PostgreSQL is reached by TLS and has to prove its name.
        tenant_cache_extensions: extensions of tenants in use that stay in memory, about a kilobyte
            each; of more the tenants that were not used for longest are read again when needed.
        is_durable: False keeps state, bus and database in memory only (tests, trials).
        sync: when journals are forced to the medium: never, interval (each second) or always.
        bus_partitions: partitions of a new topic.
        bus_keep_records: consumed records per partition that stay for consumer groups to come.
        bus_max_records: records per partition after which publishing is refused.
        bus_attempts: how often a record is handed to a failing handler before it is put aside.
        bus_volatile_topics: topics that are kept in memory only.
        tls_ca: PEM file with the authorities that sign the certificates of backing servers; without
            it the system's are believed. It and the next two are read again when they change.
        tls_certificate: PEM file with the certificate that we show to servers which ask for one,
            and its chain.
        tls_key: PEM file with its key.
        state_url: redis://host:port/0, redis+sentinel://host:port,host:port/master or
            redis+cluster://host:port,host:port, with TLS rediss; redis://127.0.0.1:6379/0 unless
            given.
        state_timeout_s: how long an operation on Redis may take, in seconds.
        state_wait_replicas: replicas of Redis that must confirm each write of an owned record.
        bus_url: kafka://host:port,host:port, with TLS kafka+tls; some brokers are enough.
        bus_sasl: how we log in to Kafka: plain, scram-sha-256 or scram-sha-512.
        bus_username: name for it.
        bus_password: password for it.
        bus_prefix: stands before every topic and group on Kafka.
        bus_replication: copies of each partition of a new topic on Kafka; 3, or as many as there
            are brokers at that moment, unless given.
        bus_linger_s: shortest time between two produce requests to Kafka, and between two fetches
            that bring little, in seconds.
        bus_queue_mb: how much may wait for Kafka, in megabytes of memory and disk.
        discovery_url: zookeeper://host:port,host:port/folder, with TLS zookeeper+tls;
            name:password@ before the hosts closes the folder to others;
            zookeeper://127.0.0.1:2181/parley unless given.
        discovery_session_s: how long a silent process stays in discovery, in seconds.
        blobs_url: s3://bucket, or s3://bucket/folder.
        blobs_endpoint: URL of an S3 server that is not Amazon's.
        blobs_region: the bucket's region.
        blobs_key_id: access key; without it the environment's identity is used.
        blobs_key: secret that belongs to the access key.
    """

    model_config = SettingsConfigDict(env_prefix="PARLEY_BACKING_")

    data: Path = Path("var")
    state: Adapter = Adapter.EMBEDDED
    bus: Adapter = Adapter.EMBEDDED
    discovery: Adapter = Adapter.EMBEDDED
    blobs: Adapter = Adapter.EMBEDDED
    database_url: SecretStr | None = None
    tenant_cache_extensions: int = Field(default=200_000, ge=1)
    is_durable: bool = True
    sync: SyncPolicy = SyncPolicy.INTERVAL
    bus_partitions: int = Field(default=8, ge=1, le=1024)
    bus_keep_records: int = Field(default=1000, ge=0)
    bus_max_records: int = Field(default=50_000, ge=1)
    bus_attempts: int = Field(default=5, ge=1)
    bus_volatile_topics: CommaList = ()
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    state_url: SecretStr | None = None
    state_timeout_s: float = Field(default=1.0, ge=0.05, le=60.0)
    state_wait_replicas: int = Field(default=0, ge=0, le=16)
    bus_url: str = "kafka://127.0.0.1:9092"
    bus_sasl: str = Field(default="", pattern=f"^({'|'.join(SASL_MECHANISMS)})?$")
    bus_username: str = ""
    bus_password: SecretStr = SecretStr("")
    bus_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,40}$")
    bus_replication: int | None = Field(default=None, ge=1, le=32)
    bus_linger_s: float = Field(default=0.05, ge=0.0, le=1.0)
    bus_queue_mb: int = Field(default=64, ge=1, le=4096)
    discovery_url: SecretStr | None = None
    discovery_session_s: float = Field(default=4.0, ge=0.5, le=30.0)
    blobs_url: str = "s3://parley"
    blobs_endpoint: str | None = None
    blobs_region: str = "us-east-1"
    blobs_key_id: SecretStr | None = None
    blobs_key: SecretStr | None = None

    @model_validator(mode="after")
    def _check_adapters(self) -> "BackingSettings":
        for port, fitting in _FITTING.items():
            if getattr(self, port) not in fitting:
                names = " or ".join(adapter.value for adapter in fitting)
                raise ValueError(f"the {port} adapter is {names}")
        return self

    @field_validator("bus_url")
    @classmethod
    def _check_bus_url(cls, url: str) -> str:
        servers_of(url)
        return url

    @field_validator("discovery_url")
    @classmethod
    def _check_discovery_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            parse_zookeeper_url(url.get_secret_value())
        return url

    @field_validator("blobs_url")
    @classmethod
    def _check_blobs_url(cls, url: str) -> str:
        bucket_and_folder(url)
        return url

    @model_validator(mode="after")
    def _check_blob_keys(self) -> "BackingSettings":
        if (self.blobs_key_id is None) != (self.blobs_key is None):
            raise ValueError("an access key of S3 and its secret are given together")
        return self

    @property
    def tls(self) -> TlsFiles:
        """The files for backing servers that are reached by TLS."""
        return TlsFiles(self.tls_certificate, self.tls_key, self.tls_ca)

    @model_validator(mode="after")
    def _check_tls(self) -> "BackingSettings":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError(
                "PARLEY_BACKING_TLS_CERTIFICATE and PARLEY_BACKING_TLS_KEY are set together"
            )
        if any(self.tls) and not any(map(_asks_for_tls, self._urls())):
            raise ValueError(
                "PARLEY_BACKING_TLS_CA, PARLEY_BACKING_TLS_CERTIFICATE and PARLEY_BACKING_TLS_KEY "
                "are of no use: no URL of a backing server asks for TLS"
            )
        return self

    def _urls(self) -> Iterator[str]:
        yield self.bus_url
        for url in (self.state_url, self.discovery_url, self.database_url):
            yield "" if url is None else url.get_secret_value()

    @model_validator(mode="after")
    def _check_sasl(self) -> "BackingSettings":
        given = (self.bus_sasl, self.bus_username, self.bus_password.get_secret_value())
        if any(given) and not all(given):
            raise ValueError(
                "PARLEY_BACKING_BUS_SASL, PARLEY_BACKING_BUS_USERNAME and "
                "PARLEY_BACKING_BUS_PASSWORD are set together"
            )
        if self.bus_sasl == "plain" and not is_tls(self.bus_url):
            raise ValueError(
                "PARLEY_BACKING_BUS_SASL plain would send the password unencrypted: it needs a "
                "PARLEY_BACKING_BUS_URL that begins with kafka+tls://"
            )
        return self

    @model_validator(mode="after")
    def _check_bus_bounds(self) -> "BackingSettings":
        if self.bus_keep_records >= self.bus_max_records:
            raise ValueError("the bus must take more records than it keeps for groups to come")
        return self


def _asks_for_tls(url: str) -> bool:
    scheme, _, rest = url.partition("://")
    return scheme.startswith("rediss") or scheme.endswith("+tls") or "ssl" in rest.partition("?")[2]
