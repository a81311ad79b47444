"""What this server is, for whoever opens its address."""

from fastapi import APIRouter, Request

from parley.restgateway.schemas import PlatformView

router = APIRouter(tags=["platform"])


@router.get("/")
async def show_platform(request: Request) -> PlatformView:
    """Says what is where."""
    view: PlatformView = request.app.state.platform
    return view
