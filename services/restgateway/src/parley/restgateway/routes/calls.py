"""Live calls of a tenant, from the snapshots in shared state."""

from fastapi import APIRouter

from parley.model.errors import NotFound
from parley.model.live_call import decode_live_call
from parley.restgateway.authentication import StoreDependency, TenantDependency
from parley.restgateway.schemas import CallView, Page

router = APIRouter(prefix="/v1/tenants/{tenant_id}/calls", tags=["calls"])


@router.get("")
async def list_calls(tenant_id: TenantDependency, store: StoreDependency) -> Page[CallView]:
    """Lists the calls that go on now, oldest first."""
    await store.tenants.get(tenant_id)
    snapshots = await store.snapshots(await store.live_call_ids(tenant_id))
    return Page(items=[CallView.of(decode_live_call(snapshot)) for snapshot in snapshots])


@router.get("/{call_id}")
async def get_call(tenant_id: TenantDependency, call_id: str, store: StoreDependency) -> CallView:
    """Shows a call that goes on."""
    if call_id in await store.live_call_ids(tenant_id):
        for snapshot in await store.snapshots([call_id]):
            return CallView.of(decode_live_call(snapshot))
    raise NotFound(f"no call {call_id}", error_id="call-not-found")
