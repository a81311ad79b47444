"""Extensions of a tenant."""

from fastapi import APIRouter, Response

from parley.model.errors import NotFound
from parley.model.ids import ExtensionId
from parley.restgateway import preconditions
from parley.restgateway.authentication import StoreDependency, TenantDependency
from parley.restgateway.cursors import (
    After,
    ExtensionPlace,
    Limit,
    decode_cursor,
    encode_cursor,
)
from parley.restgateway.passwords import check_password, make_password
from parley.restgateway.preconditions import IfMatch, IfNoneMatch
from parley.restgateway.schemas import (
    ExtensionCreate,
    ExtensionCreated,
    ExtensionUpdate,
    ExtensionView,
    Page,
)

router = APIRouter(prefix="/v1/tenants/{tenant_id}/extensions", tags=["extensions"])


@router.get("")
async def list_extensions(
    tenant_id: TenantDependency,
    store: StoreDependency,
    limit: Limit = 100,
    after: After = None,
) -> Page[ExtensionView]:
    """Lists extensions by number."""
    place = decode_cursor(after, ExtensionPlace)
    await store.tenants.check(tenant_id)
    found = await store.extensions.list_page(
        tenant_id, limit + 1, None if place is None else place.number
    )
    shown = found[:limit]
    return Page(
        items=[ExtensionView.of(extension) for extension in shown],
        next=encode_cursor(ExtensionPlace(shown[-1].number)) if len(found) > limit else None,
    )


@router.post("", status_code=201, responses=preconditions.CREATED)
async def create_extension(
    tenant_id: TenantDependency, body: ExtensionCreate, store: StoreDependency, response: Response
) -> ExtensionCreated:
    """Creates an extension; a password that was left out is made, and shown this once."""
    made = make_password() if body.password is None else None
    if body.password is not None:
        check_password(body.password, body.number, body.auth_name or "")
    [extension] = await store.extensions.create_many(tenant_id, [body.record(made)])
    response.headers["Location"] = f"/v1/tenants/{tenant_id}/extensions/{extension.id}"
    response.headers.update(preconditions.entity_tag(extension.version))
    return ExtensionCreated.with_password(extension, made)


@router.get("/{extension_id}", response_model=ExtensionView, responses=preconditions.SHOWN)
async def get_extension(
    tenant_id: TenantDependency,
    extension_id: str,
    store: StoreDependency,
    known: IfNoneMatch,
    response: Response,
) -> ExtensionView | Response:
    """Shows an extension."""
    extension = await store.extensions.get(tenant_id, ExtensionId(extension_id))
    if known is not None and extension.version in known:
        return preconditions.not_modified(extension.version)
    response.headers.update(preconditions.entity_tag(extension.version))
    return ExtensionView.of(extension)


@router.patch("/{extension_id}", responses=preconditions.CHANGED)
async def update_extension(
    tenant_id: TenantDependency,
    extension_id: str,
    body: ExtensionUpdate,
    store: StoreDependency,
    expected: IfMatch,
    response: Response,
) -> ExtensionView:
    """Changes an extension."""
    if body.password is not None:
        known = await store.extensions.get(tenant_id, ExtensionId(extension_id))
        names = (body.number or known.number, body.auth_name or known.auth_name)
        check_password(body.password, *names)
    extension = await store.extensions.update(
        tenant_id, ExtensionId(extension_id), body.record(), expected
    )
    response.headers.update(preconditions.entity_tag(extension.version))
    return ExtensionView.of(extension)


@router.delete(
    "/{extension_id}",
    status_code=204,
    response_class=Response,
    responses=preconditions.REMOVED,
)
async def delete_extension(
    tenant_id: TenantDependency, extension_id: str, store: StoreDependency, expected: IfMatch
) -> None:
    """Removes an extension."""
    if not await store.extensions.delete(tenant_id, ExtensionId(extension_id), expected):
        raise NotFound(f"no extension {extension_id}", error_id="extension-not-found")
