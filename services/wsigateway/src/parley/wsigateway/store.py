"""What the gateway reads: API tokens, and whether a tenant exists."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from parley.backing.db.engine import Database
from parley.backing.db.tenants import TenantRepository
from parley.backing.db.tokens import ApiToken, TokenRepository
from parley.model.ids import TenantId

T = TypeVar("T")

_LAST_QUERIES_S = 5.0


class WsiStore:
    """Verifies tokens and tenants; a client that leaves meanwhile does not break the query off.

    A query that is cancelled half-way costs its database connection, and clients come and go.
    """

    def __init__(self, db: Database) -> None:
        self._tokens = TokenRepository(db)
        self._tenants = TenantRepository(db)
        self._queries: set[asyncio.Task[Any]] = set()

    async def verify(self, text: str) -> ApiToken | None:
        """Returns the token with this secret, unless it is unknown or has expired.

        Raises:
            BackingUnavailable: the database does not answer.
        """
        return await self._unbroken(self._tokens.verify(text))

    async def check_tenant(self, tenant_id: str) -> None:
        """Lets pass who names a tenant that there is.

        Raises:
            NotFound: there is none.
            BackingUnavailable: the database does not answer.
        """
        await self._unbroken(self._tenants.check(TenantId(tenant_id)))

    async def _unbroken(self, asking: Coroutine[Any, Any, T]) -> T:
        query = asyncio.get_running_loop().create_task(asking, name="wsi query")
        self._queries.add(query)
        query.add_done_callback(self._queries.discard)
        return await asyncio.shield(query)

    async def aclose(self) -> None:
        """Waits for the queries in flight; each is bounded in time by the database itself."""
        if self._queries:
            await asyncio.wait(self._queries, timeout=_LAST_QUERIES_S)
        for query in self._queries:
            query.cancel()
