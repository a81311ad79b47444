"""Line ends between the messages of a stream."""

from enum import Enum


class KeepAlive(Enum):
    """Line ends between messages (RFC 5626 4.4.1): a client's ping, a server's pong."""

    PING = "ping"
    PONG = "pong"
