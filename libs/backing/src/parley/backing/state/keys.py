"""How the keys of shared state are spelled; services that share one must agree.

The part in braces is Redis Cluster's hash tag; ids and AORs hold none of the braces.
"""

from typing import Final

LISTED_TENANTS_KEY: Final = "registrations:{*}"
"""Index of the tenants that have an index of registrations."""

OWNERS_KEY: Final = "owners:{callmanager}"
"""Index of the call managers that may own calls."""


def binding_key(aor: str) -> str:
    """The bindings of an AOR (`user@domain`, without its scheme)."""
    return f"reg:{{{aor}}}"


def registrations_key(tenant_id: str) -> str:
    """Index of a tenant's AORs, scored by when something there may expire."""
    return f"registrations:{{{tenant_id}}}"


def lease_key(instance: str) -> str:
    """The lease of an instance: it lives while this is there."""
    return f"lease:{{{instance}}}"
