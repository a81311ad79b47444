"""Who does a command: the one server there is, or the node of a cluster that has the key."""

from collections.abc import Callable
from typing import Protocol

from parley.backing.state.redis_cluster import Cluster
from parley.backing.state.redis_connect import BySentinel, Direct
from parley.backing.state.redis_limits import Limits, Statistics
from parley.backing.state.redis_link import Command
from parley.backing.state.redis_pipeline import Pipeline
from parley.backing.state.redis_url import Kind, RedisUrl


class Servers(Protocol):
    """Takes commands."""

    @property
    def trouble(self) -> str:
        """Why there is no connection."""
        ...

    def start(self) -> None:
        """Begins to connect."""
        ...

    async def wait_connected(self) -> None:
        """Returns when every key can be reached; the caller bounds the time."""
        ...

    def submit(self, command: Command) -> None:
        """Takes a command; its future gets the reply or an error.

        Raises:
            BackingUnavailable: too much waits already, or the server has been away for long.
        """
        ...

    async def aclose(self) -> None:
        """Waits for the replies to what was asked for and disconnects."""
        ...

    async def abandon(self) -> None:
        """Disconnects at once."""
        ...


def create_servers(
    url: RedisUrl, limits: Limits, statistics: Statistics, on_forgotten: Callable[[], None]
) -> Servers:
    """Makes what the URL names; nothing is connected yet."""
    if url.kind is Kind.CLUSTER:
        return Cluster(url, limits, statistics, on_forgotten)
    connector = (
        BySentinel(
            url.addresses, url.master, url.login, url.sentinel_login, ask_s=limits.timeout_s / 3
        )
        if url.kind is Kind.SENTINEL
        else Direct(url.addresses[0], url.login)
    )
    pipeline = Pipeline(str(url), connector, limits, statistics)
    pipeline.on_forgotten = on_forgotten
    return pipeline
