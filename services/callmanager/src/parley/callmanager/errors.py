"""Errors of the call manager."""

from parley.model.errors import DomainError, TemporaryError


class CallManagerError(Exception):
    """Base of what goes wrong inside the call manager."""


class InvariantBroken(CallManagerError):
    """A call found itself in a state that must not be; that call is ended, no other."""


class Fenced(CallManagerError):
    """Another call manager owns the call now: drop it in silence (no response, BYE or CDR)."""


class AlreadyThere(Fenced):
    """A new call turned out to be one that is in state: it is taken over, or its owner's."""


class MalformedSnapshot(CallManagerError):
    """A stored snapshot cannot be read, or is of a version this program does not know."""


class Draining(TemporaryError):
    """This instance finishes its calls and takes no new ones; the edge picks another."""

    error_id = "draining"


class TooManyCalls(TemporaryError):
    """This instance owns as many calls as it is set to take."""

    error_id = "too-many-calls"


class LoopDetected(DomainError):
    """The request came back to us, or visited too many elements (RFC 3261 8.1.1.6, 8.2.2.2)."""

    sip_status = 482
    http_status = 508
    error_id = "loop-detected"
