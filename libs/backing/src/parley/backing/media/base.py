"""The port through which calls command their media."""

from collections.abc import Callable, Sequence
from typing import Protocol

from parley.model.media import Command, MediaEvent, Reply

MediaEventCallback = Callable[[MediaEvent], None]


class MediaUnavailable(Exception):
    """No relay took the command, or none answered in time; what was asked may have happened."""


class MediaControl(Protocol):
    """Commands media sessions, wherever their relay runs."""

    async def execute(self, command: Command) -> Reply:
        """Carries one command out.

        A refusal is a `Reply` that is not `ok`.

        Raises:
            MediaUnavailable: no answer from a relay.
        """
        ...

    def on_event(self, callback: MediaEventCallback) -> None:
        """Names the one callback that is told of media events; it must not raise."""
        ...

    async def start(self) -> None:
        """Connects to the relays, without waiting for any of them."""
        ...

    async def aclose(self) -> None:
        """Lets go of the relays; their sessions stay."""
        ...


class CommandExecutor(Protocol):
    """The synchronous core of a relay, as `parley.mediarelay.relay.Relay` has it."""

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        """Carries commands out in order; one reply each. Never raises for a bad command."""
        ...

    def on_event(self, callback: MediaEventCallback) -> None:
        """Names the callback for media events."""
        ...
