"""Why a relay cannot carry a stream that a description wants, in the words of SIP's Warning.

None of it is a fault of the description: it is legal, and answered by 488 or by port 0.
"""

from enum import Enum
from typing import Final

from parley.sdp.description import MediaDescription
from parley.sdp.values import Connection, is_host_address, is_ip_address

_DISCARD_PORT: Final = 9


class Obstacle(Enum):
    """A code and a text of RFC 3261 20.43."""

    NETWORK = (300, "Incompatible network protocol")
    ADDRESS = (301, "Incompatible network address formats")
    TRANSPORT = (302, "Incompatible transport protocol")
    MEDIA = (304, "Media type not available")
    MULTICAST = (330, "Multicast not available")

    @property
    def code(self) -> int:
        """The warning's three digits."""
        return self.value[0]

    @property
    def text(self) -> str:
        """What it says to a person."""
        return self.value[1]


def obstacle_of(media: MediaDescription, connection: Connection | None) -> Obstacle | None:
    """What keeps a relay from carrying a live stream; None when nothing does.

    Args:
        media: the stream.
        connection: where it is wanted, `media.connection`.
    """
    if not media.is_relayable:
        return Obstacle.TRANSPORT
    if connection is None:
        return None
    if connection.is_null:
        # ICE without a default candidate: whoever does no ICE has nowhere to send (RFC 8840).
        is_nowhere = media.uses_ice and media.port == _DISCARD_PORT
        return Obstacle.TRANSPORT if is_nowhere else None
    return address_obstacle(connection)


def address_obstacle(connection: Connection) -> Obstacle | None:
    """What keeps media from being sent to an address: names are not looked up (RFC 8866 5.7)."""
    if not connection.is_internet:
        return Obstacle.NETWORK
    if not is_ip_address(connection.address):
        return Obstacle.ADDRESS
    if connection.suffix or not is_host_address(connection.address):
        return Obstacle.MULTICAST
    return None
