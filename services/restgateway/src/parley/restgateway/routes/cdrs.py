"""Call detail records of a tenant."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from parley.backing.db.cdrs import CdrFilter, CdrPosition
from parley.model.call import CallResult
from parley.model.errors import InvalidValue
from parley.model.ids import CallId
from parley.restgateway.authentication import StoreDependency, TenantDependency
from parley.restgateway.cursors import After, CdrPlace, Limit, decode_cursor, encode_cursor
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
    place = decode_cursor(after, CdrPlace)
    position = None if place is None else CdrPosition(place.started_at, place.row)
    page = await store.cdrs.list_page(tenant_id, limit, position, wanted)
    return Page(
        items=[CdrView.model_validate(record) for record in page.records],
        next=None if page.end is None else encode_cursor(CdrPlace(*page.end)),
    )


@router.get("/{call_id}")
async def get_cdr(tenant_id: TenantDependency, call_id: str, store: StoreDependency) -> CdrView:
    """Shows the CDR of a call."""
    return CdrView.model_validate(await store.cdrs.get(tenant_id, CallId(call_id)))
