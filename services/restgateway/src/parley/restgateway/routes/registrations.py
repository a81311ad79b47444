"""Registered contacts of a tenant."""

from datetime import UTC, datetime

from fastapi import APIRouter

from parley.backing.db.tenants import Tenant
from parley.model.errors import InvalidValue
from parley.restgateway.authentication import StoreDependency, TenantDependency
from parley.restgateway.cursors import (
    After,
    Limit,
    RegistrationPlace,
    decode_cursor,
    encode_cursor,
)
from parley.restgateway.schemas import Page, RegistrationView

router = APIRouter(prefix="/v1/tenants/{tenant_id}/registrations", tags=["registrations"])


@router.get("")
async def list_registrations(
    tenant_id: TenantDependency, store: StoreDependency, limit: Limit = 100, after: After = None
) -> Page[RegistrationView]:
    """Lists registered contacts, those that expire first at the top.

    A page may have fewer items than `limit`, even none, and still a `next`.
    """
    place = decode_cursor(after, RegistrationPlace)
    tenant = await store.tenants.get(tenant_id)
    if place is not None:
        _check_owner(tenant, place)
    page = await store.bindings(tenant_id, limit, place)
    return Page(
        items=[
            RegistrationView.of(binding, datetime.fromtimestamp(binding.expires_at, UTC))
            for binding in page.bindings
        ],
        next=None if page.end is None else encode_cursor(page.end),
    )


def _check_owner(tenant: Tenant, place: RegistrationPlace) -> None:
    # Cursors are not signed: a client can write one with the AOR of another tenant.
    if place.aor.rpartition("@")[2] not in tenant.domains:
        raise InvalidValue("the cursor is not valid", error_id="cursor-invalid")
