"""Line ends between the messages of a stream."""

from enum import Enum


class KeepAlive(Enum):
    """Line ends between messages (RFC 5626 4.4.1), some in a row counted once."""

    PING = "ping"
    """Two of a client."""
    PONG = "pong"
    """One of a server."""
