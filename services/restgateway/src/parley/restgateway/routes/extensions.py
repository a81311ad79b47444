"""Extensions of a tenant."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from parley.model.errors import NotFound
from parley.model.ids import ExtensionId
from parley.restgateway.authentication import StoreDependency, TenantDependency
from parley.restgateway.schemas import ExtensionCreate, ExtensionUpdate, ExtensionView, Page

router = APIRouter(prefix="/v1/tenants/{tenant_id}/extensions", tags=["extensions"])


@router.get("")
async def list_extensions(
    tenant_id: TenantDependency,
    store: StoreDependency,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: str | None = None,
) -> Page[ExtensionView]:
    """Lists extensions by number."""
    await store.tenants.get(tenant_id)
    found = await store.extensions.list_page(tenant_id, limit, after)
    following = found[-1].number if len(found) == limit else None
    return Page(items=[ExtensionView.of(extension) for extension in found], next=following)


@router.post("", status_code=201)
async def create_extension(
    tenant_id: TenantDependency, body: ExtensionCreate, store: StoreDependency, response: Response
) -> ExtensionView:
    """Creates an extension."""
    [extension] = await store.extensions.create_many(tenant_id, [body.record()])
    response.headers["Location"] = f"/v1/tenants/{tenant_id}/extensions/{extension.id}"
    return ExtensionView.of(extension)


@router.get("/{extension_id}")
async def get_extension(
    tenant_id: TenantDependency, extension_id: str, store: StoreDependency
) -> ExtensionView:
    """Shows an extension."""
    return ExtensionView.of(await store.extensions.get(tenant_id, ExtensionId(extension_id)))


@router.patch("/{extension_id}")
async def update_extension(
    tenant_id: TenantDependency, extension_id: str, body: ExtensionUpdate, store: StoreDependency
) -> ExtensionView:
    """Changes an extension."""
    extension = await store.extensions.update(tenant_id, ExtensionId(extension_id), body.record())
    return ExtensionView.of(extension)


@router.delete("/{extension_id}", status_code=204)
async def delete_extension(
    tenant_id: TenantDependency, extension_id: str, store: StoreDependency
) -> None:
    """Removes an extension."""
    if not await store.extensions.delete(tenant_id, ExtensionId(extension_id)):
        raise NotFound(f"no extension {extension_id}", error_id="extension-not-found")
