"""Errors that keep a process from starting, each one sentence for the operator."""


class StartError(Exception):
    """A service could not start."""


class PortInUse(StartError):
    """Another process, or another part of this one, listens on the port."""

    def __init__(self, host: str, port: int, what: str) -> None:
        super().__init__(f"{what} cannot listen on {host}:{port}: the port is already in use.")
        self.host = host
        self.port = port


class SettingsError(Exception):
    """The environment asks for something unknown, malformed or contradictory."""
