"""What went over the streams to media relays, counted."""

from dataclasses import dataclass

from parley.service.metrics import Metrics


@dataclass(slots=True)
class Traffic:
    """What went over streams to relays so far.

    Attributes:
        commands: sent.
        messages: in which they left.
        received: messages, heartbeats included.
    """

    commands: int = 0
    messages: int = 0
    received: int = 0

    def show(self, metrics: Metrics) -> None:
        """Exports the counts."""
        metrics.read("media_commands", "Commands sent to relays.", lambda: self.commands)
        metrics.read("media_messages", "Messages in which they left.", lambda: self.messages)
        metrics.read("media_received", "Messages of relays.", lambda: self.received)
