"""How the keys of shared state are spelled; services that share one must agree.

The part in braces is Redis Cluster's hash tag; ids and AORs hold none of the braces.
"""

from typing import Final

LISTED_TENANTS_KEY: Final = "registrations:{*}"
"""Index of the tenants that have an index of registrations."""


def binding_key(aor: str) -> str:
    """The bindings of an AOR (`user@domain`, without its scheme)."""
    return f"reg:{{{aor}}}"


def registrations_key(tenant_id: str) -> str:
    """Index of a tenant's AORs, scored by when something there may expire."""
    return f"registrations:{{{tenant_id}}}"
