"""Decides on a new INVITE: whose call it is, where it goes, and makes the call."""

from typing import Any, Final

from msgspec import Struct

from parley.backing.directory import TenantDirectory
from parley.backing.errors import BackingError
from parley.callmanager.call import Call
from parley.callmanager.call_setup import CallSetup
from parley.callmanager.invite import breadth_of, make_identity
from parley.callmanager.journal import Parties
from parley.callmanager.routing import (
    Attempt,
    Decision,
    Echo,
    Refuse,
    find_callee,
    ring_extension,
)
from parley.callmanager.settings import CallManagerSettings
from parley.callmanager.sip_profile import TENANT_HEADER, asserted_user, domain_of, user_of
from parley.callmanager.store import CallStore
from parley.model.errors import Forbidden, TemporaryError
from parley.model.ids import CallId, InstanceId, TenantId
from parley.model.tenant import TenantSnapshot
from parley.service.clock import Clock
from parley.sip.ids import Ids
from parley.sip.message import Request

PRODUCT: Final = "Parley"


class Asked(Struct, frozen=True):
    """What a request asks for, read once.

    Attributes:
        tenant: whose it is, as far as memory knows; None when that has to be read.
        is_immediate: nothing that `Admission` needs has to be waited for.
    """

    request: Request
    attempt: Attempt
    tenant: TenantSnapshot | None
    is_immediate: bool


class Admission:
    """Turns INVITEs from edges into calls with a decision."""

    def __init__(
        self,
        *,
        settings: CallManagerSettings,
        directory: TenantDirectory,
        store: CallStore,
        clock: Clock,
        ids: Ids,
        instance: InstanceId,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._store = store
        self._clock = clock
        self._ids = ids
        self._instance = instance

    def read(self, request: Request) -> Asked:
        """Reads what a request asks for.

        Raises:
            RemoteProtocolError: it is malformed where it counts.
        """
        contacts, uri = request.contacts, request.uri
        contact = contacts[0].uri_text if contacts else ""
        attempt = Attempt(asserted_user(request), contact, user_of(uri), domain_of(uri))
        tenant = self._directory.peek_by_id(TenantId(request.get(TENANT_HEADER) or ""))
        is_immediate = False
        if tenant is not None and self._store.is_immediate:
            unknown = _unknown(tenant, attempt)
            looks = [self._directory.may_look_again(tenant.id, name) for name in unknown]
            is_immediate = not any(looks)
        return Asked(request, attempt, tenant=tenant, is_immediate=is_immediate)

    async def admit(self, call_id: CallId, transaction: Any, asked: Asked) -> tuple[Call, Decision]:
        """Makes the call and decides where it goes.

        Raises:
            DomainError: the tenant is unknown, or what the decision needs is away.
            RemoteProtocolError: the caller's name, where only the phone tells it, is malformed.
        """
        tenant, decision = await self._decision(asked)
        return self._make(call_id, transaction, asked, tenant, decision), decision

    async def decide(self, asked: Asked) -> Decision:
        """Decides where a call would go that came with this request.

        Raises:
            DomainError: the tenant is unknown, or what the decision needs is away.
        """
        _, decision = await self._decision(asked)
        return decision

    async def _decision(self, asked: Asked) -> tuple[TenantSnapshot, Decision]:
        try:
            tenant = await self._tenant(asked)
            return tenant, await self._decide(tenant, asked)
        except (BackingError, TimeoutError) as error:
            raise TemporaryError("the decision's data is away") from error

    async def _tenant(self, asked: Asked) -> TenantSnapshot:
        """The tenant with the numbers of this call, as far as it has them."""
        tenant = asked.tenant
        if tenant is None:
            tenant_id = asked.request.get(TENANT_HEADER)
            tenant = await self._directory.load_by_id(TenantId(tenant_id)) if tenant_id else None
        if tenant is None:
            raise Forbidden("the INVITE names no tenant")
        if not asked.is_immediate:
            for name in _unknown(tenant, asked.attempt):
                tenant = await self._directory.look_again(tenant.id, name) or tenant
        return tenant

    async def _decide(self, tenant: TenantSnapshot, asked: Asked) -> Decision:
        callee = find_callee(tenant, asked.attempt)
        if isinstance(callee, Echo | Refuse):
            return callee
        wall_s = self._clock.wall_s()
        bindings = await self._store.bindings(f"{callee.number}@{tenant.domain}", wall_s)
        return ring_extension(
            tenant,
            callee,
            bindings,
            asked.attempt,
            wall_s=wall_s,
            max_targets=min(self._settings.max_branches, breadth_of(asked.request)),
        )

    def _make(
        self,
        call_id: CallId,
        transaction: Any,
        asked: Asked,
        tenant: TenantSnapshot,
        decision: Decision,
    ) -> Call:
        settings, request, attempt = self._settings, asked.request, asked.attempt
        caller = tenant.extensions.get(attempt.caller)
        dialled = attempt.dialled_in(tenant)
        callee = dialled if isinstance(decision, Refuse) else decision.callee
        parties = Parties(call_id, tenant.id, self._instance, attempt.caller, callee, dialled)
        identity = make_identity(
            request,
            caller=attempt.caller or "anonymous",
            name="" if caller is None else caller.display_name,
            callee=callee,
            domain=tenant.domain,
        )
        setup = CallSetup(
            parties=parties,
            domain=tenant.domain,
            product=PRODUCT,
            ids=self._ids,
            transaction=transaction,
            request=request,
            identity=identity,
            media_timeout_s=tenant.settings.media_timeout_s,
            max_duration_s=settings.max_duration_s,
        )
        return Call(setup, self._clock.now(), self._clock.wall_s())


def _unknown(tenant: TenantSnapshot, attempt: Attempt) -> list[str]:
    """Numbers of the call that this tenant does not have, as far as is known here.

    The edge may know them already: the news of a new extension reach each process by itself.
    """
    if attempt.is_foreign_to(tenant) or attempt.dialled == tenant.settings.echo_number:
        return [attempt.caller] if attempt.caller not in tenant.extensions else []
    names = dict.fromkeys((attempt.caller, attempt.dialled))
    return [name for name in names if name and name not in tenant.extensions]
