"""Registered contacts of a tenant."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from parley.restgateway.authentication import StoreDependency, TenantDependency
from parley.restgateway.schemas import Page, RegistrationView

router = APIRouter(prefix="/v1/tenants/{tenant_id}/registrations", tags=["registrations"])


@router.get("")
async def list_registrations(
    tenant_id: TenantDependency,
    store: StoreDependency,
    limit: Annotated[int, Query(ge=1, le=10000)] = 1000,
) -> Page[RegistrationView]:
    """Lists registered contacts, those that expire first at the top."""
    await store.tenants.get(tenant_id)
    bindings = await store.bindings(tenant_id, limit)
    return Page(
        items=[
            RegistrationView.of(binding, datetime.fromtimestamp(binding.expires_at, UTC))
            for binding in bindings
        ]
    )
