"""What the Kafka adapter may be told, and the names that Kafka takes."""

import re
import ssl
from dataclasses import dataclass, field
from typing import Any, Final

_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")
_SERVER = re.compile(r"[A-Za-z0-9.-]+:[0-9]{1,5}|\[[0-9A-Fa-f:.]+\]:[0-9]{1,5}")


SASL_MECHANISMS: Final = ("plain", "scram-sha-256", "scram-sha-512")
_TLS_SCHEME: Final = "kafka+tls"


def is_tls(url: str) -> bool:
    """Says whether a URL asks for TLS."""
    return url.startswith(f"{_TLS_SCHEME}://")


def servers_of(url: str) -> tuple[str, ...]:
    """Returns the servers of `kafka://host:port,host:port` or `kafka+tls://...`.

    Raises:
        ValueError: it has another form.
    """
    scheme, _, rest = url.partition("://")
    servers = tuple(part.strip() for part in rest.split(","))
    if scheme not in ("kafka", _TLS_SCHEME) or not all(
        _SERVER.fullmatch(server) for server in servers
    ):
        raise ValueError(
            "must be kafka://host:port or kafka+tls://host:port, more servers after commas"
        )
    return servers


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """How brokers are reached and what we show them.

    Attributes:
        tls: context of every connection; None for plain ones.
        mechanism: of SASL, one of `SASL_MECHANISMS`; empty for none.
        username: for SASL.
        password: for SASL.
    """

    tls: ssl.SSLContext | None = None
    mechanism: str = ""
    username: str = ""
    password: str = field(default="", repr=False)

    def arguments(self) -> dict[str, Any]:
        """Returns what the client library calls it."""
        protocol = "PLAINTEXT" if self.tls is None else "SSL"
        if not self.mechanism:
            return {"security_protocol": protocol, "ssl_context": self.tls}
        return {
            "security_protocol": f"SASL_{protocol}",
            "ssl_context": self.tls,
            "sasl_mechanism": self.mechanism.upper(),
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
        }


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """Address, bounds and pauses; times in seconds.

    Attributes:
        servers: `host:port` of some brokers; the others are learnt from them.
        prefix: stands before every topic and group, so that installations may share a cluster.
        partitions: number of partitions of a topic that is made here.
        replication: copies of each partition of a new topic; None: three, or as many as there are
            brokers when the topic is made.
        linger_s: shortest time between two produce requests; what is published meanwhile shares
            the next one. After a silence a record leaves at once.
        batch_bytes: size of a partition's batch; that much waiting ends the linger.
        queue_records: records that may wait for the brokers.
        queue_bytes: bytes that may wait for the brokers.
        max_value_bytes: largest value.
        publish_s: how long `publish_and_wait` waits.
        request_s: how long one request to a broker may take.
        start_s: how long starting waits for the first contact.
        connect_s: how long a connection or a topic's creation may take.
        renew_s: a batch that is not acknowledged for that long gets a new producer.
        retry_connect_s: longest pause between attempts to connect.
        fetch_s: how long the broker holds a fetch that finds nothing.
        batch_records: most records that a handler gets at once.
        commit_s: longest time between a handler's return and the commit.
        session_s: a group takes a silent member for dead after that time.
        heartbeat_s: how often a member tells that it lives; a rebalance is noticed by it.
        attempts: how often a record is handed over before it goes to the dead letter topic.
        retry_s: pause before the second attempt; doubles up to `max_retry_s`.
        max_retry_s: longest pause between attempts.
        drain_s: how long closing, and giving up a partition, waits for handlers.
        security: TLS and SASL.
    """

    servers: tuple[str, ...]
    prefix: str = ""
    partitions: int = 8
    replication: int | None = None
    linger_s: float = 0.05
    batch_bytes: int = 128 * 1024
    queue_records: int = 200_000
    queue_bytes: int = 64 * 1024 * 1024
    max_value_bytes: int = 1024 * 1024
    publish_s: float = 10.0
    request_s: float = 5.0
    start_s: float = 2.0
    connect_s: float = 5.0
    renew_s: float = 30.0
    retry_connect_s: float = 2.0
    fetch_s: float = 0.5
    batch_records: int = 500
    commit_s: float = 0.1
    session_s: float = 6.0
    heartbeat_s: float = 1.0
    attempts: int = 5
    retry_s: float = 0.1
    max_retry_s: float = 5.0
    drain_s: float = 5.0
    security: KafkaSecurity = KafkaSecurity()

    def full_name(self, name: str) -> str:
        """Returns a topic or group as the brokers know it.

        Raises:
            ValueError: Kafka takes no such name.
        """
        full = self.prefix + name
        if _NAME.fullmatch(full) is None or full in {".", ".."}:
            raise ValueError(f"{name!r} is no name of a topic or group")
        return full
