"""What the API reads and writes, in the API's own words, over the backing ports."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from parley.backing.db.cdrs import CdrRepository
from parley.backing.db.extensions import ExtensionRepository
from parley.backing.db.tenants import TenantRepository
from parley.backing.db.tokens import ApiToken, TokenRepository
from parley.backing.errors import BackingError
from parley.backing.factory import Backing
from parley.model.errors import TemporaryError
from parley.model.ids import TenantId
from parley.model.registration import Binding
from parley.service.clock import Clock

_STATE_TIMEOUT_S = 5.0
_BINDINGS = msgspec.json.Decoder(list[Binding])


class Store:
    """Repositories and the shared state, each call bounded in time.

    Attributes:
        tenants, extensions, cdrs: the repositories of the database.
    """

    def __init__(self, backing: Backing, clock: Clock) -> None:
        self.tenants = TenantRepository(backing.db)
        self.extensions = ExtensionRepository(backing.db)
        self.cdrs = CdrRepository(backing.db)
        self._tokens = TokenRepository(backing.db)
        self._state = backing.state
        self._clock = clock

    async def verify_token(self, text: str) -> ApiToken | None:
        """Returns the token with this secret, unless it has expired."""
        return await self._tokens.verify(text)

    async def live_call_ids(self, tenant_id: TenantId) -> list[str]:
        """Lists the ids of a tenant's calls, oldest first."""
        async with _bounded():
            return [call_id for call_id, _ in await self._state.set_range(f"calls:{{{tenant_id}}}")]

    async def snapshots(self, call_ids: list[str]) -> list[bytes]:
        """Returns the snapshots of those calls that are still there."""
        async with _bounded():
            found = await self._state.get_many([f"call:{{{call_id}}}" for call_id in call_ids])
        return [snapshot for snapshot in found if snapshot is not None]

    async def bindings(self, tenant_id: TenantId, limit: int) -> list[Binding]:
        """Lists a tenant's registered contacts, by their expiry."""
        async with _bounded():
            entries = await self._state.set_range(f"registrations:{{{tenant_id}}}", limit=limit)
            keys = [f"reg:{{{aor}}}" for aor, _ in entries]
            values = await self._state.get_many(keys)
        now = self._clock.wall_s()
        return [
            binding
            for value in values
            if value is not None
            for binding in _BINDINGS.decode(value)
            if binding.expires_at > now
        ]


@asynccontextmanager
async def _bounded() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_STATE_TIMEOUT_S):
            yield
    except (TimeoutError, BackingError) as error:
        raise TemporaryError("shared state does not answer") from error
