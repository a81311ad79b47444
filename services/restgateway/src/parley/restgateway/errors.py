"""Errors that only this service knows."""

from parley.model.errors import DomainError, NotFound


class Unauthenticated(DomainError):
    """The request carries no token, or one that is not valid."""

    http_status = 401
    error_id = "unauthenticated"


def tenant_not_found(tenant_id: str) -> NotFound:
    """The same error for a tenant that is not there and one that the token may not see."""
    return NotFound(f"no tenant {tenant_id}", error_id="tenant-not-found")
