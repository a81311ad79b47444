"""What bounds a connection to Redis, and what was counted on it."""

from dataclasses import dataclass

from parley.service.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a pipeline.

    Attributes:
        timeout_s: of a command, from being asked for to the reply.
        max_commands: that may wait, sent or not.
        max_bytes: that these may have.
        wait_replicas: how many must confirm a write that asks for it.
    """

    timeout_s: float = 1.0
    max_commands: int = 10_000
    max_bytes: int = 64 << 20
    wait_replicas: int = 0


@dataclass(slots=True)
class Statistics:
    """What happened so far.

    Attributes:
        commands: sent.
        batches: writes in which they left.
        connections: made.
        failures: connections that were lost or given up.
        refusals: commands refused because too many waited.
    """

    commands: int = 0
    batches: int = 0
    connections: int = 0
    failures: int = 0
    refusals: int = 0

    def show(self, metrics: Metrics) -> None:
        """Exports the counts."""
        metrics.read("state_commands", "Commands sent to Redis.", lambda: self.commands)
        metrics.read("state_batches", "Writes in which they left.", lambda: self.batches)
        metrics.read("state_connections", "Connections made to Redis.", lambda: self.connections)
        metrics.read("state_failures", "Connections to Redis given up.", lambda: self.failures)
        metrics.read("state_refusals", "Commands refused: too many.", lambda: self.refusals)
