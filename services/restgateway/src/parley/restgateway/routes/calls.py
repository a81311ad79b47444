"""Live calls of a tenant, from the snapshots in shared state."""

from fastapi import APIRouter

from parley.model.errors import NotFound
from parley.restgateway.authentication import StoreDependency, TenantDependency
from parley.restgateway.cursors import After, CallPlace, Limit, decode_cursor, encode_cursor
from parley.restgateway.schemas import CallView, Page

router = APIRouter(prefix="/v1/tenants/{tenant_id}/calls", tags=["calls"])


@router.get("")
async def list_calls(
    tenant_id: TenantDependency, store: StoreDependency, limit: Limit = 100, after: After = None
) -> Page[CallView]:
    """Lists the calls that go on now, oldest first."""
    place = decode_cursor(after, CallPlace)
    await store.tenants.check(tenant_id)
    page = await store.calls(tenant_id, limit, place)
    return Page(
        items=[CallView.of(call) for call in page.calls],
        next=None if page.end is None else encode_cursor(page.end),
    )


@router.get("/{call_id}")
async def get_call(tenant_id: TenantDependency, call_id: str, store: StoreDependency) -> CallView:
    """Shows a call that goes on."""
    call = await store.call(tenant_id, call_id)
    if call is None:
        raise NotFound(f"no call {call_id}", error_id="call-not-found")
    return CallView.of(call)
