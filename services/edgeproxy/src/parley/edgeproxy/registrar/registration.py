"""REGISTER from a phone to the answer: authenticate, read, decide, store, tell (RFC 3261 10.3)."""

from collections.abc import Sequence
from email.utils import formatdate
from typing import Final

from msgspec import structs

from parley.backing.errors import BackingError
from parley.edgeproxy.border.requirements import unsupported
from parley.edgeproxy.identity.authentication import Answer, Authenticator, Caller
from parley.edgeproxy.identity.tenants import Tenants
from parley.edgeproxy.limits.known_sources import KnownSources
from parley.edgeproxy.proxy.forwarding import Sender
from parley.edgeproxy.registrar.connection_bindings import ConnectionBindings
from parley.edgeproxy.registrar.decision import (
    Accepted,
    RegistrarLimits,
    contact_values,
    decide,
)
from parley.edgeproxy.registrar.events import RegistrationEvents
from parley.edgeproxy.registrar.register_request import Refused, RegisterRequest, read_register
from parley.edgeproxy.registrar.store import Registrations
from parley.edgeproxy.routing.routes import Routes
from parley.model.ids import InstanceId
from parley.model.registration import Binding
from parley.model.tenant import TenantSnapshot
from parley.service.clock import Clock
from parley.sip.errors import RemoteProtocolError
from parley.sip.headers import NameAddr
from parley.sip.hop import Hop
from parley.sip.ids import Ids
from parley.sip.message import Request, response_to
from parley.sip.stateless import stateless_response
from parley.sip.transaction import ServerTransaction
from parley.sip.uri import SipUri, Uri

DEFAULT_PORT: Final = 5060
FLOW_TIMER_S: Final = 120
"""Asked of outbound phones: a keep-alive at least this often (RFC 5626 4.4)."""
OUTBOUND_HEADERS: Final = (
    ("require", "outbound"),
    ("supported", "outbound, path"),
    ("flow-timer", str(FLOW_TIMER_S)),
)

_Headers = tuple[tuple[str, str], ...]


class RegisterRequests:
    """Answers REGISTER."""

    def __init__(  # noqa: PLR0913 - wiring, by keyword
        self,
        *,
        sender: Sender,
        authenticator: Authenticator,
        registrations: Registrations,
        events: RegistrationEvents,
        connections: ConnectionBindings,
        known: KnownSources,
        routes: Routes,
        tenants: Tenants,
        limits: RegistrarLimits,
        instance: InstanceId,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._sender = sender
        self._authenticator = authenticator
        self._registrations = registrations
        self._events = events
        self._connections = connections
        self._known = known
        self._routes = routes
        self._tenants = tenants
        self._limits = limits
        self._instance = instance
        self._clock = clock
        self._ids = ids
        self._date_second = -1
        self._date_text = ""

    async def on_register(self, transaction: ServerTransaction, request: Request) -> None:
        """Answers a REGISTER; does not wait when tenant and state are at hand.

        Raises:
            RemoteProtocolError: a header that counts here is malformed.
            BackingUnavailable, TemporaryError: shared state could not be read or written, and
                this is more than a refresh of what this edge remembers.
        """
        source = request.source
        if source is None:
            raise RemoteProtocolError("request without source", 500)
        if source.transport != "udp":
            self._connections.note_open(source)
        if request.has("require", "proxy-require"):
            refusal = unsupported(request)
            if refusal is not None:
                self._refuse(transaction, request, Answer(420, None, refusal))
                return
        identity = request.to.uri
        caller = await self._authenticator.authenticate(request, identity, is_registrar=True)
        if isinstance(caller, Answer):
            self._refuse(transaction, request, caller)
            return
        self._known.note(source)
        if not self._may_change(caller, identity, request.uri):
            self._respond(transaction, request, 403)
            return
        aor, contacts = caller.aor, request.contacts
        path = self._routes.path(way_back(contacts, source))
        wanted = read_register(request, contacts, f"sip:{aor}", self._instance, path)
        if isinstance(wanted, Refused):
            self._respond(transaction, request, wanted.status, wanted.reason, wanted.headers)
            return
        await self._apply(transaction, request, caller.tenant, aor, wanted)

    async def _apply(
        self,
        transaction: ServerTransaction,
        request: Request,
        tenant: TenantSnapshot,
        aor: str,
        wanted: RegisterRequest,
    ) -> None:
        wall_s = self._clock.wall_s()
        limits, is_gone = self._limits, self._connections.is_gone
        if tenant.settings.max_bindings != limits.max_bindings:
            limits = structs.replace(limits, max_bindings=tenant.settings.max_bindings)
        registrations = self._registrations

        def change(current: Sequence[Binding]) -> Accepted | Refused:
            known = registrations.with_owed(aor, current, wall_s)
            return decide(known, wanted, wall_s, limits, is_gone)

        try:
            outcome = await registrations.update(tenant.id, aor, wall_s, change)
        except BackingError:
            refreshed = registrations.refresh_remembered(tenant.id, aor, wall_s, change)
            if refreshed is None:
                raise
            outcome = refreshed
        if isinstance(outcome, Refused):
            self._respond(transaction, request, outcome.status, outcome.reason, outcome.headers)
            return
        source = request.source
        if source is not None and source.transport != "udp" and wanted.contacts:
            self._connections.note_bound(source, tenant.id, aor)
        headers = self._accepted_headers(request, wanted, outcome, wall_s)
        self._respond(transaction, request, 200, None, headers)
        if outcome.is_changed:
            self._events.publish(tenant.id, outcome, wall_s)

    def _may_change(self, caller: Caller, aor: Uri, registrar: Uri) -> bool:
        """Says whether we are the registrar meant and To is the caller's own (10.3 steps 1, 4, 5).

        A REGISTER to somebody else's registrar might be forwarded; we are no proxy for that.
        """
        if not isinstance(aor, SipUri) or not isinstance(registrar, SipUri):
            return False
        extension, tenant = caller.extension, caller.tenant
        if aor.user not in (extension.number, extension.auth_name):
            return False
        is_named_by = self._tenants.is_named_by
        return is_named_by(tenant, registrar) and is_named_by(tenant, aor)

    def _accepted_headers(
        self, request: Request, wanted: RegisterRequest, outcome: Accepted, wall_s: float
    ) -> _Headers:
        second = int(wall_s)
        if second != self._date_second:
            # Not strftime: its names of days and months follow the process's locale.
            self._date_text = formatdate(second, usegmt=True)
            self._date_second = second
        headers: _Headers = (("date", self._date_text),)
        if outcome.bindings:
            headers = (("contact", contact_values(outcome.bindings, wall_s)), *headers)
        for value in wanted.path[1:]:
            # The part of Path that is the phone's own proxies' (RFC 3327 5.3); ours stays inside.
            headers += (("path", value),)
        return headers + OUTBOUND_HEADERS if wanted.uses_outbound else headers

    def _refuse(self, transaction: ServerTransaction, request: Request, answer: Answer) -> None:
        """Answers whoever has not proved who he is; nothing is kept of it (26.3.2.4)."""
        response = stateless_response(request, answer.status, answer.reason, answer.headers)
        self._sender.respond_statelessly(transaction, response)

    def _respond(
        self,
        transaction: ServerTransaction,
        request: Request,
        status: int,
        reason: str | None = None,
        headers: _Headers = (),
    ) -> None:
        tag = self._ids.token()
        response = response_to(request, status, reason, to_tag=tag, headers=headers)
        self._sender.respond(transaction, response)


def way_back(contacts: Sequence[NameAddr], source: Hop) -> Hop:
    """Says where a phone is reached: at the flow it opened, or at its Contact (RFC 3261 16.6).

    A stream is its own way back. Over UDP a Contact with the source's address shows that no NAT is
    in between; then its port counts, which need not be the one that REGISTER came from.
    """
    if source.transport != "udp" or len(contacts) != 1 or contacts[0].is_wildcard:
        return source
    uri = contacts[0].uri
    if not isinstance(uri, SipUri) or uri.host != source.host or uri.transport not in (None, "udp"):
        return source
    port = uri.port or DEFAULT_PORT
    return source if port == source.port else source._replace(port=port)
