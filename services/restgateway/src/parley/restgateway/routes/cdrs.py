"""Call detail records of a tenant."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from parley.backing.db.cdrs import CdrFilter
from parley.model.call import CallResult
from parley.model.errors import InvalidValue
from parley.model.ids import CallId
from parley.restgateway.authentication import StoreDependency, TenantDependency
from parley.restgateway.cursors import After, Limit
from parley.restgateway.schemas import CdrView, Page

router = APIRouter(prefix="/v1/tenants/{tenant_id}/cdrs", tags=["cdrs"])


@router.get("")
async def list_cdrs(  # noqa: PLR0913 - each argument is a query parameter of the resource
    tenant_id: TenantDependency,
    store: StoreDependency,
    limit: Limit = 100,
    after: After = None,
    since: Annotated[
        AwareDatetime | None, Query(description="Calls that started then or later.")
    ] = None,
    until: Annotated[
        AwareDatetime | None, Query(description="Calls that started before then.")
    ] = None,
    party: Annotated[
        str | None, Query(max_length=255, description="Caller, callee or dialled number.")
    ] = None,
    result: CallResult | None = None,
) -> Page[CdrView]:
    """Lists CDRs, the newest first."""
    if since is not None and until is not None and since > until:
        raise InvalidValue("since is after until", error_id="range-invalid")
    wanted = CdrFilter(since=since, until=until, party=party, result=result)
    page = await store.cdrs.list_page(tenant_id, limit, after, wanted)
    return Page(
        items=[CdrView.model_validate(record) for record in page.records], next=page.next_cursor
    )


@router.get("/{call_id}")
async def get_cdr(tenant_id: TenantDependency, call_id: str, store: StoreDependency) -> CdrView:
    """Shows the CDR of a call."""
    return CdrView.model_validate(await store.cdrs.get(tenant_id, CallId(call_id)))
