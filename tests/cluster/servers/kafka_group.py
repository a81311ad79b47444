"""Three Kafka brokers, each a controller too: one may die without a loss."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.cluster.servers.kafka import KafkaServer
from tests.cluster.servers.startable import Startable

_BROKERS = 3


class KafkaGroup(Startable):
    """Three brokers, topics with three copies of which two must be in sync; a context manager.

    Attributes:
        brokers: the three; each can be killed, frozen and started again alone.
    """

    def __init__(self, folder: Path) -> None:
        """Gives each a folder below `folder`."""
        self.brokers = tuple(
            KafkaServer(folder / f"broker-{node}", node=node) for node in range(1, _BROKERS + 1)
        )
        voters = {broker.node: broker.controller_port for broker in self.brokers}
        for broker in self.brokers:
            broker.voters = voters

    @property
    def bootstrap(self) -> str:
        """`host:port` of all, joined by commas."""
        return ",".join(broker.url for broker in self.brokers)

    def start(self) -> None:
        """Starts all at once, for none works before two are there.

        Raises:
            ServerAbsent: Kafka cannot be had on this machine.
            ServerFailed: one does not start.
        """
        with ThreadPoolExecutor(_BROKERS) as threads:
            starts = [threads.submit(broker.start) for broker in self.brokers]
        try:
            for start in starts:
                start.result()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops all at once; the last ones would wait for the others."""
        with ThreadPoolExecutor(_BROKERS) as threads:
            for broker in self.brokers:
                threads.submit(broker.stop)
