"""What a backing service may say no with.

Transient trouble of the service itself is `BackingUnavailable`; the other errors tell that the
caller asked for something that cannot be had.
"""

from parley.service.errors import StartError


class BackingError(Exception):
    """Base of all errors of the ports."""


class BackingUnavailable(BackingError):
    """The service cannot do it now; trying again later may work."""


class BusFull(BackingError):
    """The bounded queue in front of a topic is full; nothing was queued."""


class WrongKind(BackingError):
    """The key holds another kind of value than the operation needs (Redis: WRONGTYPE)."""


class BlobNotFound(BackingError):
    """No blob has this key."""


class BlobKeyError(BackingError, ValueError):
    """The key is not one that every adapter can store."""


class FolderInUse(BackingError, StartError):
    """Another process works on the same data folder."""
