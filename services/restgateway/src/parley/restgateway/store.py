"""What the API reads and writes, in the API's own words, over the backing ports."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice

from msgspec import Struct

from parley.backing.db.cdrs import CdrRepository
from parley.backing.db.extensions import ExtensionRepository
from parley.backing.db.tenants import TenantRepository
from parley.backing.db.tokens import ApiToken, TokenRepository
from parley.backing.errors import BackingUnavailable
from parley.backing.factory import Backing
from parley.backing.state.bindings import Bindings, Due, decode_bindings
from parley.backing.state.live_calls import LiveCalls
from parley.model.errors import InvalidValue
from parley.model.ids import TenantId
from parley.model.live_call import LiveCall, decode_live_call
from parley.model.registration import Binding
from parley.restgateway.cursors import CallPlace, RegistrationPlace
from parley.service.clock import Clock

_STATE_TIMEOUT_S = 5.0


class CallPage(Struct, frozen=True):
    """Some calls, and where the page ended; None: there are no more."""

    calls: list[LiveCall]
    end: CallPlace | None


class BindingPage(Struct, frozen=True):
    """Some registered contacts, and where the page ended; None: there are no more."""

    bindings: list[Binding]
    end: RegistrationPlace | None


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
        self._bindings = Bindings(backing.state)
        self._calls = LiveCalls(backing.state)
        self._clock = clock

    async def wait_answered(self) -> None:
        """Asks the database what every request asks it.

        Raises:
            BackingError: it does not answer.
        """
        await self._tokens.verify("")

    async def verify_token(self, text: str) -> ApiToken | None:
        """Returns the token with this secret, unless it has expired."""
        return await self._tokens.verify(text)

    async def calls(self, tenant_id: TenantId, limit: int, after: CallPlace | None) -> CallPage:
        """Lists a tenant's calls, the oldest first; at most `limit` are read."""
        place = None if after is None else (after.call_id, after.started_s)
        async with _bounded():
            found = await self._calls.of_tenant(tenant_id, limit + 1, place)
            shown = found[:limit]
            values = await self._calls.snapshots([call_id for call_id, _ in shown])
        end = CallPlace(shown[-1][1], shown[-1][0]) if len(found) > limit else None
        return CallPage(list(_of_tenant(tenant_id, values)), end)

    async def call(self, tenant_id: TenantId, call_id: str) -> LiveCall | None:
        """Returns a call of the tenant that goes on; None when there is none."""
        async with _bounded():
            value = await self._calls.snapshot(call_id)
        return next(_of_tenant(tenant_id, [value]), None)

    async def bindings(
        self, tenant_id: TenantId, limit: int, after: RegistrationPlace | None
    ) -> BindingPage:
        """Lists a tenant's registered contacts, roughly by their expiry.

        At most `limit` AORs are read. A phone that registers between two pages may move, so that
        its contact is listed twice or not at all; one that stays is listed once.
        """
        async with _bounded():
            found = await self._aors(tenant_id, limit, after)
            values = await self._bindings.read_many([aor for aor, _ in found[:limit]])
        contacts = list(islice(self._contacts(found, values, after), limit + 1))
        shown = contacts[:limit]
        if len(contacts) > limit:
            return BindingPage([one for one, _ in shown], shown[-1][1])
        end = None
        if len(found) > limit:
            aor, due_s = found[limit - 1]
            end = RegistrationPlace(due_s, aor, _LAST)
        return BindingPage([one for one, _ in shown], end)

    async def _aors(
        self, tenant_id: TenantId, limit: int, after: RegistrationPlace | None
    ) -> list[Due]:
        """Reads one AOR more than wanted; the one in which a page ended comes first again."""
        if after is None:
            return await self._bindings.of_tenant(tenant_id, limit + 1)
        place = (after.aor, after.due_s)
        following = await self._bindings.of_tenant(tenant_id, limit + 1, place)
        return following if after.binding == _LAST else [place, *following]

    def _contacts(
        self,
        aors: Sequence[Due],
        values: Sequence[bytes | None],
        after: RegistrationPlace | None,
    ) -> Iterator[tuple[Binding, RegistrationPlace]]:
        now = self._clock.wall_s()
        for (aor, due_s), value in zip(aors, values, strict=False):
            for binding in sorted(decode_bindings(value), key=_place_of):
                place = _place_of(binding)
                is_shown = after is not None and aor == after.aor and place <= after.binding
                if binding.expires_at > now and not is_shown:
                    yield binding, RegistrationPlace(due_s, aor, place)


_LAST = ""
"""In a place: every contact of the AOR was shown."""


def _place_of(binding: Binding) -> str:
    # Phones at two places may write the same contact.
    return f"{binding.contact} {binding.source} {binding.instance_id or ''} {binding.reg_id or ''}"


def _of_tenant(tenant_id: TenantId, snapshots: Iterable[bytes | None]) -> Iterator[LiveCall]:
    """Yields the calls of the tenant; what cannot be read is nobody's, rather than all's error."""
    for snapshot in snapshots:
        if snapshot is None:
            continue
        try:
            call = decode_live_call(snapshot)
        except InvalidValue:
            continue
        if call.tenant_id == tenant_id:
            yield call


@asynccontextmanager
async def _bounded() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_STATE_TIMEOUT_S):
            yield
    except TimeoutError as error:
        raise BackingUnavailable("shared state does not answer") from error
