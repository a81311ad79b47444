"""Errors of the domain, each with its face towards SIP and HTTP.

An edge (a SIP handler, a REST route) maps them once, by these attributes; nothing else translates.
"""


class DomainError(Exception):
    """Something a caller asked for cannot be done.

    Attributes:
        sip_status: status of the SIP response that says so.
        http_status: status of the HTTP response that says so.
        error_id: stable, machine-readable name (`extension-not-found`).
    """

    sip_status: int = 500
    http_status: int = 500
    error_id: str = "internal"

    def __init__(
        self,
        message: str = "",
        *,
        sip_status: int | None = None,
        http_status: int | None = None,
        error_id: str | None = None,
    ) -> None:
        if sip_status is not None:
            self.sip_status = sip_status
        if http_status is not None:
            self.http_status = http_status
        if error_id is not None:
            self.error_id = error_id
        super().__init__(message or self.error_id)


class InvalidValue(DomainError):
    """A value breaks a rule of the domain."""

    sip_status = 400
    http_status = 422
    error_id = "invalid-value"


class MalformedEvent(InvalidValue):
    """Bytes that are not an event, or not what an event of their type must be."""

    error_id = "malformed-event"


class NotFound(DomainError):
    """What was named does not exist, or not for this tenant."""

    sip_status = 404
    http_status = 404
    error_id = "not-found"


class Conflict(DomainError):
    """The name is taken, or the thing was changed by someone else meanwhile."""

    sip_status = 500
    http_status = 409
    error_id = "conflict"


class VersionMismatch(DomainError):
    """The thing is no longer at the version that the caller had read."""

    sip_status = 500
    http_status = 412
    error_id = "version-mismatch"


class Forbidden(DomainError):
    """The caller is known and may not do this."""

    sip_status = 403
    http_status = 403
    error_id = "forbidden"


class TemporaryError(DomainError):
    """A neighbour or backing service did not answer; the same request may succeed later."""

    sip_status = 503
    http_status = 503
    error_id = "temporarily-unavailable"
