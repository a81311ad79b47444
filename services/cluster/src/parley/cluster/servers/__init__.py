"""Real backing servers as children of this process: tests and local clusters run on them."""

from parley.cluster.servers.errors import ServerAbsent, ServerFailed

__all__ = ["ServerAbsent", "ServerFailed"]
