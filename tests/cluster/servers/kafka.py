"""Kafka, one process that is broker and controller (KRaft); its jars come from Maven."""

import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.ports import free_port
from tests.cluster.servers.base import HOST, Unready
from tests.cluster.servers.errors import ServerFailed
from tests.cluster.servers.java import JavaServer, key_store
from tests.cluster.servers.wire import connection, exchange

_CLUSTER_ID = "cGFybGV5LWxvY2FsLWNsdQ"
_FORMAT_S = 60.0
_INIT_PRODUCER_ID = 22
_TRANSACTION_TIMEOUT_MS = 1000
_FIND_COORDINATOR = 10
_GROUP = b"parley-probe"
_SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")

_PROPERTIES = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "BROKER",
    "num.network.threads": 2,
    "num.io.threads": 2,
    "background.threads": 2,
    "num.recovery.threads.per.data.dir": 1,
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.num.partitions": 4,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 500,
    "group.consumer.min.session.timeout.ms": 500,
    "group.consumer.min.heartbeat.interval.ms": 100,
    "log.cleaner.dedupe.buffer.size": 2_097_152,
    # A broker that was killed is let in again when its last session has ended.
    "broker.heartbeat.interval.ms": 300,
    "broker.session.timeout.ms": 1500,
}


def _replicated(brokers: int) -> dict[str, object]:
    copies, in_sync = min(brokers, 3), min(brokers, 2)
    topics = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    return {
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        **{f"{topic}.replication.factor": copies for topic in topics},
        **{f"{topic}.min.isr": in_sync for topic in topics[1:]},
    }


class KafkaServer(JavaServer):
    """One broker, alone or of a group of brokers.

    Attributes:
        node: its number.
        controller_port: where it takes part in elections.
        voters: number and controller port of every broker; itself alone unless set before the
            first start.
        options: further properties; read at each start.
        users: names and passwords for SCRAM, known from the first start on.
    """

    name = "kafka"
    memory = "384m"

    def __init__(
        self,
        folder: Path,
        port: int = 0,
        options: Mapping[str, object] | None = None,
        *,
        node: int = 1,
    ) -> None:
        """Takes further server properties and, in a group, the broker's number."""
        super().__init__(folder, port)
        self.node = node
        self.controller_port = free_port()
        self.voters: dict[int, int] = {}
        self.options = dict(options or {})
        self.users: dict[str, str] = {}

    @property
    def url(self) -> str:
        """`host:port`, as clients take it."""
        return f"{HOST}:{self.port}"

    @property
    def bootstrap(self) -> str:
        """The same as `url`."""
        return self.url

    def _choose_ports(self) -> None:
        super()._choose_ports()
        if not self.voters:
            self.controller_port = free_port()

    def _prepare(self) -> Sequence[str]:
        data = self.folder / "data"
        config = self.folder / "kafka.properties"
        properties = {
            **_PROPERTIES,
            **_replicated(len(self.voters) or 1),
            "node.id": self.node,
            "controller.quorum.voters": self._quorum(),
            "listeners": f"BROKER://{HOST}:{self.port},CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"BROKER://{HOST}:{self.port}",
            **self._security(),
            "log.dirs": data,
            **self.options,
        }
        lines = [f"{name}={value}\n" for name, value in properties.items()]
        config.write_text("".join(lines), encoding="utf-8")
        if not (data / "meta.properties").exists():
            self._format(config)
        return self.java("-Xms64m", "kafka.Kafka", str(config))

    def _security(self) -> dict[str, object]:
        if self.tls is None:
            return {"listener.security.protocol.map": "CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT"}
        return {
            "listener.security.protocol.map": "CONTROLLER:SSL,BROKER:SSL",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": key_store(self.folder, self.tls),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.tls.ca,
            "ssl.client.auth": "required",
        }

    def _quorum(self) -> str:
        voters = self.voters or {self.node: self.controller_port}
        return ",".join(f"{node}@{HOST}:{port}" for node, port in voters.items())

    def _format(self, config: Path) -> None:
        tool = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(config)]
        for name, password in self.users.items():
            for mechanism in _SCRAM:
                tool += ["--add-scram", f"{mechanism}=[name={name},password={password}]"]
        try:
            done = subprocess.run(
                self.java(*tool), capture_output=True, text=True, timeout=_FORMAT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"kafka did not format its folder in {_FORMAT_S:g} s.") from None
        if done.returncode:
            raise ServerFailed(f"kafka cannot format its folder:\n{done.stdout}{done.stderr}")

    def _probe(self) -> None:
        # A producer id: the controller hands out the block of ids by a write of its quorum.
        producer = struct.pack(">hhih", _INIT_PRODUCER_ID, 0, 1, -1)
        requests = [producer + struct.pack(">hi", -1, _TRANSACTION_TIMEOUT_MS)]
        if not self.voters:
            # The topic of groups' offsets is made at the first question for a coordinator, which
            # takes a while. Among several brokers its copies may be those that are away.
            coordinator = struct.pack(">hhih", _FIND_COORDINATOR, 1, 2, -1)
            requests.append(coordinator + struct.pack(">h", len(_GROUP)) + _GROUP + b"\0")
        with connection(self.port, tls=self.tls) as opened:
            answers = [exchange(opened, request) for request in requests]
        for answer in answers:
            # Correlation id and throttling time come first in both.
            _, _, error = struct.unpack_from(">iih", answer)
            if error:
                raise Unready(f"error {error} of Kafka")
