"""Bindings: where the phones of an AOR can be reached, and which AORs of a tenant have any.

`reg:{<user>@<domain>}` holds the bindings of one AOR as JSON, replaced by compare-and-set, so that
edges never undo each other. `registrations:{<tenant>}` is the index of a tenant's AORs, scored by
when something there may expire. The score is a hint, written only when it would become earlier, and
before the bindings: a refresh costs one read and one write, an edge that dies between the two
leaves no binding that nobody lists, and the sweep corrects a hint that came too early.
`registrations:{*}` lists the tenants that have an index.

AORs are written without their scheme here. Bindings that cannot be read are of no use to anyone and
count as none; phones register again.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from parley.backing.state.base import State, in_one_turn
from parley.model.ids import TenantId
from parley.model.registration import Binding

GRACE_S: Final = 600.0
"""How long bindings outlive their expiry in state, for the sweep to tell of it."""
_TENANTS: Final = "registrations:{*}"

Due = tuple[str, float]
"""An AOR in an index and when something there may expire, Unix seconds."""

encode_bindings = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Binding]).decode


def decode_bindings(data: bytes | None) -> list[Binding]:
    """Reads the bindings of an AOR as they are kept."""
    try:
        return _decode(data) if data else []
    except msgspec.MsgspecError:
        return []


class Found(msgspec.Struct, frozen=True):
    """The bindings of an AOR, expired ones included, and the version that replaces them."""

    bindings: list[Binding]
    version: int


class Bindings:
    """All bindings of all tenants. Methods raise what the state port raises and do not time out."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._listed_tenants: set[TenantId] = set()

    # --- one AOR ---------------------------------------------------------------------------

    async def read(self, aor: str) -> bytes | None:
        """Reads the bindings of an AOR as they are kept, for `decode_bindings`.

        Callers that keep them for long keep bytes.
        """
        return await self._state.get(_bindings(aor))

    async def read_many(self, aors: Sequence[str]) -> list[bytes | None]:
        """Reads the bindings of several AORs as they are kept, in order."""
        return await self._state.get_many([_bindings(aor) for aor in aors])

    async def find(self, aor: str) -> Found:
        """Reads the bindings of an AOR to replace them."""
        found = await self._state.get_versioned(_bindings(aor))
        if found is None:
            return Found([], 0)
        return Found(decode_bindings(found.value), found.version)

    async def replace(
        self, aor: str, bindings: Sequence[Binding], version: int, wall_s: float
    ) -> bytes | None:
        """Writes all bindings of an AOR in place of those of a version.

        Returns:
            What was written; None when another edge was faster.
        """
        # No bindings left: a time to live of 0 removes the key, under the same compare-and-set.
        last_s = max([one.expires_at for one in bindings], default=0.0)
        ttl_s = last_s - wall_s + GRACE_S if bindings else 0.0
        data = encode_bindings(bindings)
        written = await self._state.put_if_version(_bindings(aor), data, version, ttl_s)
        return None if written is None else data

    # --- the index -------------------------------------------------------------------------

    async def list_aor(self, tenant: TenantId, aor: str, bindings: Sequence[Binding]) -> None:
        """Puts an AOR into its tenant's index, and the tenant into the list of tenants."""
        await self._schedule(tenant, aor, bindings)
        if tenant not in self._listed_tenants:
            await self._state.index_add(_TENANTS, tenant, 0.0)
            self._listed_tenants.add(tenant)

    async def unlist_aor(self, tenant: TenantId, aor: str) -> None:
        """Takes an AOR that has no bindings out of the index."""
        await self._state.index_remove(_index(tenant), aor)
        # A REGISTER may have come between the write and the removal: then the AOR belongs there.
        bindings = decode_bindings(await self.read(aor))
        if bindings:
            await self.list_aor(tenant, aor, bindings)

    async def reschedule(self, tenant: TenantId, aor: str, bindings: Sequence[Binding]) -> None:
        """Corrects an AOR's place in the index after the sweep looked at it."""
        if bindings:
            await self._schedule(tenant, aor, bindings)
        else:
            await self.unlist_aor(tenant, aor)

    async def tenants(self) -> list[TenantId]:
        """Lists tenants that may have registrations."""
        return [TenantId(name) for name, _ in await self._state.index_range(_TENANTS)]

    async def due(self, tenants: Sequence[TenantId], wall_s: float, limit: int) -> list[list[str]]:
        """Lists for each tenant AORs in which something may have expired, the oldest first."""
        found = await in_one_turn(
            *[self._state.index_range(_index(tenant), wall_s, limit) for tenant in tenants]
        )
        return [[aor for aor, _ in one] for one in found]

    async def of_tenant(self, tenant: TenantId, limit: int, after: Due | None = None) -> list[Due]:
        """Lists AORs of a tenant in the order of the index, from behind a place."""
        return await self._state.index_range(_index(tenant), limit=limit, after=after)

    def forget_lists(self) -> None:
        """Forgets which tenants were listed: shared state may have forgotten it, too."""
        self._listed_tenants.clear()

    async def _schedule(self, tenant: TenantId, aor: str, bindings: Sequence[Binding]) -> None:
        await self._state.index_add(_index(tenant), aor, next_expiry(bindings))


def next_expiry(bindings: Sequence[Binding]) -> float:
    """When the first of some bindings expires, Unix seconds."""
    return min([one.expires_at for one in bindings])


def _bindings(aor: str) -> str:
    return f"reg:{{{aor}}}"


def _index(tenant: TenantId) -> str:
    return f"registrations:{{{tenant}}}"
