"""What of session descriptions is Python's: names that are compared, and the one error."""

from enum import Enum, StrEnum


class SdpError(ValueError):
    """A session description that cannot be used; the text is one full sentence."""


class Direction(StrEnum):
    """Who sends in a stream, seen by the side that wrote the description (RFC 8866 6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


class Obstacle(Enum):
    """Why a relay cannot carry a stream, as code and text of SIP's Warning (RFC 3261 20.43).

    None of it is a fault of the description: it is legal, and answered by 488 or by port 0.
    """

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
