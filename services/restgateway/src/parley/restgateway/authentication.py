"""Who asks: bearer tokens (RFC 6750) and what their role lets them see."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from parley.backing.db.tokens import ApiToken, Role
from parley.model.errors import Forbidden
from parley.model.ids import TenantId
from parley.restgateway.errors import Unauthenticated, tenant_not_found
from parley.restgateway.store import Store
from parley.service.http_connections import vouch

_bearer = HTTPBearer(auto_error=False, description="An API token of the platform or of a tenant.")


def get_store(request: Request) -> Store:
    """Returns the store that the application was made with."""
    store: Store = request.app.state.store
    return store


StoreDependency = Annotated[Store, Depends(get_store)]


async def authenticate(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    store: StoreDependency,
) -> ApiToken:
    """Returns the caller's token.

    Raises:
        Unauthenticated: there is none, or it is unknown or expired.
    """
    if credentials is None:
        raise Unauthenticated("this API takes a bearer token")
    token = await store.verify_token(credentials.credentials)
    if token is None:
        raise Unauthenticated("the token is unknown or has expired")
    request.scope["request_info"].token_id = token.id
    vouch(request.scope)
    return token


TokenDependency = Annotated[ApiToken, Depends(authenticate)]


def require_platform(token: TokenDependency) -> None:
    """Lets only the platform's administrator pass.

    Raises:
        Forbidden: the token is a tenant's.
    """
    if token.role is not Role.PLATFORM:
        raise Forbidden("this takes a token of the platform", error_id="platform-only")


def require_tenant(tenant_id: str, token: TokenDependency) -> TenantId:
    """Lets the tenant itself and the platform's administrator pass.

    Raises:
        NotFound: the token is another tenant's, which must not learn who else is there.
    """
    if token.role is not Role.PLATFORM and token.tenant_id != tenant_id:
        raise tenant_not_found(tenant_id)
    return TenantId(tenant_id)


TenantDependency = Annotated[TenantId, Depends(require_tenant)]
PlatformOnly = Depends(require_platform)
