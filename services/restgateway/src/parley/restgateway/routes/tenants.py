"""Tenants."""

from fastapi import APIRouter, Response

from parley.model.errors import Forbidden
from parley.model.ids import TenantId
from parley.model.tenant import TenantSettings
from parley.restgateway import preconditions
from parley.restgateway.authentication import (
    PlatformOnly,
    StoreDependency,
    TenantDependency,
    TokenDependency,
)
from parley.restgateway.cursors import After, Limit, TenantPlace, decode_cursor, encode_cursor
from parley.restgateway.errors import tenant_not_found
from parley.restgateway.preconditions import IfMatch, IfNoneMatch
from parley.restgateway.schemas import Page, TenantCreate, TenantUpdate, TenantView

router = APIRouter(prefix="/v1/tenants", tags=["tenants"])


@router.get("")
async def list_tenants(
    store: StoreDependency,
    token: TokenDependency,
    limit: Limit = 100,
    after: After = None,
) -> Page[TenantView]:
    """Lists the tenants that the token may see, by id."""
    place = decode_cursor(after, TenantPlace)
    if token.tenant_id is not None:
        return Page(items=[TenantView.of(await store.tenants.get(token.tenant_id))])
    found = await store.tenants.list_all(limit + 1, None if place is None else TenantId(place.id))
    shown = found[:limit]
    return Page(
        items=[TenantView.of(tenant) for tenant in shown],
        next=encode_cursor(TenantPlace(shown[-1].id)) if len(found) > limit else None,
    )


@router.post("", status_code=201, dependencies=[PlatformOnly], responses=preconditions.CREATED)
async def create_tenant(
    body: TenantCreate, store: StoreDependency, response: Response
) -> TenantView:
    """Creates a tenant."""
    domains = [body.domain, *body.further_domains]
    tenant = await store.tenants.create(body.name, domains, body.settings.record(TenantSettings()))
    response.headers["Location"] = f"/v1/tenants/{tenant.id}"
    response.headers.update(preconditions.entity_tag(tenant.version))
    return TenantView.of(tenant)


@router.get("/{tenant_id}", response_model=TenantView, responses=preconditions.SHOWN)
async def get_tenant(
    tenant_id: TenantDependency, store: StoreDependency, known: IfNoneMatch, response: Response
) -> TenantView | Response:
    """Shows a tenant."""
    tenant = await store.tenants.get(tenant_id)
    if known is not None and tenant.version in known:
        return preconditions.not_modified(tenant.version)
    response.headers.update(preconditions.entity_tag(tenant.version))
    return TenantView.of(tenant)


@router.patch("/{tenant_id}", responses=preconditions.CHANGED)
async def update_tenant(
    tenant_id: TenantDependency,
    body: TenantUpdate,
    store: StoreDependency,
    token: TokenDependency,
    expected: IfMatch,
    response: Response,
) -> TenantView:
    """Changes a tenant; its domains and whether it is enabled are the platform's to change."""
    is_platforms = body.enabled is not None or body.further_domains is not None
    if token.tenant_id is not None and is_platforms:
        raise Forbidden("domains and enabled are changed by the platform", error_id="platform-only")
    tenant = await store.tenants.update(
        tenant_id,
        name=body.name,
        settings=None if body.settings is None else body.settings.record,
        enabled=body.enabled,
        further_domains=body.further_domains,
        expected_versions=expected,
    )
    response.headers.update(preconditions.entity_tag(tenant.version))
    return TenantView.of(tenant)


@router.delete(
    "/{tenant_id}",
    status_code=204,
    dependencies=[PlatformOnly],
    response_class=Response,
    responses=preconditions.REMOVED,
)
async def delete_tenant(
    tenant_id: TenantDependency, store: StoreDependency, expected: IfMatch
) -> None:
    """Removes a tenant with its extensions and tokens; its CDRs stay."""
    if not await store.tenants.delete(tenant_id, expected):
        raise tenant_not_found(tenant_id)
