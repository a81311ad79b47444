"""One SIP neighbour: how and where a message came in or goes out."""

from parley.sipcore import Hop

__all__ = ["Hop"]
