"""Media control of a relay in the same process: a plain call."""

from parley.backing.media.base import CommandExecutor, MediaEventCallback
from parley.model.media import Command, Reply


class DirectMediaControl:
    """`MediaControl` over a relay core that lives in this process and belongs to someone else.

    Attributes:
        is_immediate: no command ever waits, so that it needs no task (`state.base.run_now`).
    """

    is_immediate = True

    def __init__(self, relay: CommandExecutor) -> None:
        self._relay = relay

    async def execute(self, command: Command) -> Reply:
        """Carries the command out at once."""
        return self._relay.execute((command,))[0]

    def on_event(self, callback: MediaEventCallback) -> None:
        """Passes the callback on to the relay."""
        self._relay.on_event(callback)

    async def start(self) -> None:
        """Does nothing: the relay is there already."""

    async def aclose(self) -> None:
        """Does nothing: the relay is closed by its owner."""
