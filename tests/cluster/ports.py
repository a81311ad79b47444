"""Free TCP and UDP ports of this machine."""

import random
import socket

from parley.service.errors import StartError

# Below the ephemeral range, where a client's connection may take a port at any moment; the place
# is random, so that clusters side by side on one machine rarely meet.
_RANGE = range(5500, 10_000)
_TRIES = 1000
_given: set[int] = set()


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Says whether both protocols could listen on the port now."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def withhold(*ports: int) -> None:
    """Keeps ports that somebody was promised out of what `free_port` finds."""
    _given.update(ports)


def free_port() -> int:
    """Returns a port that is free everywhere and that this process was not given before.

    Raises:
        StartError: none was found.
    """
    chooser = random.Random()
    for _ in range(_TRIES):
        port = chooser.choice(_RANGE)
        if port not in _given and is_free(port, ""):
            _given.add(port)
            return port
    raise StartError(f"No free port was found between {_RANGE.start} and {_RANGE.stop - 1}.")
