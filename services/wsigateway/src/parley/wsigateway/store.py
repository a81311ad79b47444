"""What the gateway reads: API tokens."""

import asyncio

from parley.backing.db.engine import Database
from parley.backing.db.tokens import ApiToken, TokenRepository

_LAST_QUERIES_S = 5.0


class TokenStore:
    """Verifies tokens; a client that leaves meanwhile does not break the query off.

    A query that is cancelled half-way costs its database connection, and clients come and go.
    """

    def __init__(self, db: Database) -> None:
        self._tokens = TokenRepository(db)
        self._queries: set[asyncio.Task[ApiToken | None]] = set()

    async def verify(self, text: str) -> ApiToken | None:
        """Returns the token with this secret, unless it is unknown or has expired.

        Raises:
            BackingUnavailable: the database does not answer.
        """
        query = asyncio.get_running_loop().create_task(self._tokens.verify(text), name="wsi token")
        self._queries.add(query)
        query.add_done_callback(self._queries.discard)
        return await asyncio.shield(query)

    async def aclose(self) -> None:
        """Waits for the queries in flight; each is bounded in time by the database itself."""
        if self._queries:
            await asyncio.wait(self._queries, timeout=_LAST_QUERIES_S)
        for query in self._queries:
            query.cancel()
