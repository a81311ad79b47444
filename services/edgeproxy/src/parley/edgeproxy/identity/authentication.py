"""Who sends this: digest authentication of phones (RFC 3261 22, RFC 7616, RFC 8760).

Policy, chosen so that nobody learns which users exist:
- The realm is the tenant's primary domain. A domain that is no tenant's gets 404: domains are
  public in DNS, so this tells nothing. A phone that names this edge instead of a domain is
  challenged for the tenant of its user name, else of the default domain, else for a realm nobody
  can answer.
- An unknown or disabled user is challenged like any other, and its answer is checked against a
  secret that nobody knows, which costs the same and fails like a wrong password: a new challenge.
- Before credentials are called wrong, the database is asked once more (rationed): the user or the
  password may be new. That holds for known and unknown users alike, so its time tells nothing.
- Wrong credentials count against their source address, and against the user at that address. Too
  many within a minute ban for a while: 403 without any look at what is sent. They count only where
  the nonce was given to that very address not long ago: that alone proves that the sender hears us,
  and is not somebody who writes another one's address on his packets.
- Any other nonce is answered by a new one with `stale=true` (RFC 7616 3.3) before the credentials
  are looked at, or passwords could be tried by nonces that do not count. It is nobody's fault: the
  phone came from another edge or its network has changed; phones answer without asking their user.
- A nonce is good at the edge that gave it, as long as that runs, for only there it is known which
  counts (`nc`) were used. So what was overheard is worth nothing anywhere. A phone whose edge died
  hears one more challenge. Only an INVITE that it had sent before and repeats may be taken with
  another edge's nonce, and then as the call that it has made already, else it is challenged.
- Credentials for another resource than the Request-URI's get 400 (RFC 7616 3.4.6 wants it: nobody
  sends them by mistake twice); a new challenge would have clients that always write another one ask
  for ever. `digest_uri.py` says what counts as another. qop and algorithms that were not offered
  are no proof.
- REGISTERs in their thousands are let through by a bucket that all phones share; only those take
  from it whose nonce is good, or anybody could empty it.
"""

import hmac
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from msgspec import Struct

from parley.edgeproxy.identity.digest_uri import is_for
from parley.edgeproxy.identity.tenants import Tenants
from parley.edgeproxy.limits.avalanche import retry_after
from parley.edgeproxy.limits.guard import FailureLimiter
from parley.edgeproxy.metrics import EdgeMetrics
from parley.model.tenant import Extension, TenantSnapshot
from parley.service.clock import Clock
from parley.service.sources import source_key
from parley.sip.digest import (
    Credentials,
    NonceCounts,
    NonceFactory,
    NonceState,
    challenge_headers,
    find_credentials,
    parse_credentials,
    verify,
)
from parley.sip.errors import RemoteProtocolError
from parley.sip.hop import Hop
from parley.sip.message import Request
from parley.sip.nonce import MAKER_BYTES
from parley.sip.uri import SipUri, TelUri

UNKNOWN_REALM: Final = "unknown.invalid"
MAX_TEMPLATES: Final = 4096

_logger = structlog.stdlib.get_logger(__name__)


class Answer(Struct, frozen=True):
    """What to answer instead: a challenge or a refusal."""

    status: int
    reason: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Caller(Struct, frozen=True):
    """A phone that proved who it is.

    Attributes:
        unless_known: None, or what to answer when the INVITE is not one that was taken before: its
            nonce is another edge's.
    """

    tenant: TenantSnapshot
    extension: Extension
    unless_known: Answer | None = None

    @property
    def aor(self) -> str:
        """Its AOR without the scheme: `1001@tenant.example`."""
        return f"{self.extension.number}@{self.tenant.domain}"

    @property
    def identity(self) -> str:
        """The value of P-Asserted-Identity (RFC 3325)."""
        return f"<{SipUri('sip', self.extension.number, self.tenant.domain)}>"


_NONCE_MARK: Final = "@nonce@"


class Authenticator:
    """Checks credentials and makes challenges.

    Args:
        tenants: where users and their secrets are.
        secret: shared by all edges, so that one knows the nonces of another.
        nonce_life_s: how long a nonce is taken.
        algorithms: challenges offered, in this order.
        failures: sources that failed too often.
        user_failures: the same per source and user: a phone with a wrong password tries again with
            every challenge, and must not take the others behind its address along.
        has_room: takes a place among the REGISTERs that are let through at this monotonic time;
            False when there is none.
        clock: for nonces and failures.
        metrics: counts.
    """

    def __init__(  # noqa: PLR0913 - wiring, by keyword
        self,
        *,
        tenants: Tenants,
        secret: bytes,
        nonce_life_s: float,
        algorithms: Sequence[str],
        failures: FailureLimiter,
        user_failures: FailureLimiter,
        has_room: Callable[[float], bool],
        clock: Clock,
        metrics: EdgeMetrics,
    ) -> None:
        self._tenants = tenants
        self._nonces = NonceFactory(
            hmac.digest(secret, b"parley edge nonce", "sha256"),
            nonce_life_s,
            os.urandom(MAKER_BYTES),
        )
        self._counts = NonceCounts()
        self._decoy_key = hmac.digest(secret, b"parley edge decoy", "sha256")
        self._algorithms = tuple(algorithms)
        self._templates: dict[tuple[str, bool], tuple[tuple[str, str], ...]] = {}
        self._failures = failures
        self._user_failures = user_failures
        self._has_room = has_room
        self._clock = clock
        self._metrics = metrics

    async def authenticate(
        self, request: Request, identity: SipUri | TelUri, *, is_registrar: bool
    ) -> Caller | Answer:
        """Finds out who sends a request out of a dialog.

        Args:
            request: as received.
            identity: whom it claims to be from: From, or To of a REGISTER.
            is_registrar: 401 and its headers instead of 407.

        Raises:
            RemoteProtocolError: malformed credentials or Request-URI.
            BackingUnavailable: the tenant is not in memory and cannot be read.
        """
        source = request.source.host if request.source is not None else ""
        if self._failures.bans and self._failures.is_banned(source_key(source), self._clock.now()):
            self._metrics.refused["banned"].inc()
            return Answer(403)
        tenant = await self._tenants.find_for(identity, request.uri)
        if tenant is None and not self._tenants.is_without_domain(identity, request.uri):
            return Answer(404)
        realm = UNKNOWN_REALM if tenant is None else tenant.domain
        header = "authorization" if is_registrar else "proxy-authorization"
        credentials = find_credentials(request, header, realm)
        if credentials is None:
            return self._challenge(realm, source, is_registrar, is_stale=False)
        return await self._check(request, tenant, credentials, source, is_registrar)

    def is_heard(self, request: Request, source: Hop) -> bool:
        """Says whether a nonce in a request was given to its source: that is no forged one.

        An old nonce says so as well: a phone may bring the one of its last registration.
        """
        for header in ("authorization", "proxy-authorization"):
            text = request.get(header)
            try:
                credentials = None if text is None else parse_credentials(text)
            except RemoteProtocolError:
                continue
            if credentials is not None:
                state = self._nonces.check(credentials.nonce, self._clock.wall_s(), source.host)
                if state is not NonceState.INVALID:
                    return True
        return False

    async def _check(
        self,
        request: Request,
        tenant: TenantSnapshot | None,
        credentials: Credentials,
        source: str,
        is_registrar: bool,
    ) -> Caller | Answer:
        now = self._clock.now()
        if self._user_failures.bans and self._user_failures.is_banned(
            _user_at(source, credentials), now
        ):
            self._metrics.refused["banned"].inc()
            return Answer(403)
        if credentials.uri != request.uri_text and not (
            tenant is None or is_for(credentials.uri, request, tenant, self._tenants)
        ):
            return Answer(400, "Credentials For Another Resource")
        state = self._nonces.check(credentials.nonce, self._clock.wall_s(), source)
        is_repeat = state is NonceState.ELSEWHERE and request.method == "INVITE"
        if state is not NonceState.FRESH and not is_repeat:
            return self._challenge(credentials.realm, source, is_registrar, is_stale=True)
        if is_registrar and not self._has_room(now):
            self._metrics.refused["avalanche"].inc()
            return Answer(503, None, (("retry-after", retry_after(request.call_id)),))
        extension = self._prove(request, tenant, credentials)
        if extension is None and tenant is not None:
            newer = await self._tenants.look_again(tenant, credentials.username)
            if newer is not tenant:
                tenant, extension = newer, self._prove(request, newer, credentials)
        if tenant is None or extension is None:
            self._metrics.auth_failures.inc()
            self._count_failure(source_key(source), _user_at(source, credentials), now)
            return self._challenge(credentials.realm, source, is_registrar, is_stale=False)
        if is_repeat:
            stale = self._challenge(credentials.realm, source, is_registrar, is_stale=True)
            return Caller(tenant, extension, stale)
        if not self._counts.accept(credentials.nonce, credentials.count):
            return self._challenge(credentials.realm, source, is_registrar, is_stale=True)
        return Caller(tenant, extension)

    def _prove(
        self, request: Request, tenant: TenantSnapshot | None, credentials: Credentials
    ) -> Extension | None:
        """Returns the extension whose secret these credentials prove."""
        extension = None if tenant is None else tenant.find_auth_name(credentials.username)
        if extension is not None and not extension.enabled:
            extension = None
        if credentials.algorithm not in self._algorithms:
            return None
        secrets = self._decoy(credentials) if extension is None else extension.ha1
        is_proved = verify(credentials, request.method, secrets)
        return extension if is_proved else None

    def _count_failure(self, source: str, user: str, now: float) -> None:
        for limiter, who in ((self._user_failures, user), (self._failures, source)):
            if limiter.record_failure(who, now):
                self._metrics.bans.inc()
                # A phone whose password was mended meanwhile hears 403 until the ban is over.
                _logger.warning("banned for failed logins", who=who, for_s=limiter.ban_s)

    def _challenge(self, realm: str, source: str, is_registrar: bool, *, is_stale: bool) -> Answer:
        self._metrics.challenges.inc()
        key = (realm, is_stale)
        if key not in self._templates:
            if len(self._templates) >= MAX_TEMPLATES:
                self._templates.clear()
            self._templates[key] = self._template(realm, is_stale)
        parts = self._templates[key]
        nonce = self._nonces.make(self._clock.wall_s(), source)
        status, name = (401, "www-authenticate") if is_registrar else (407, "proxy-authenticate")
        return Answer(status, None, tuple([(name, f"{a}{nonce}{b}") for a, b in parts]))

    def _template(self, realm: str, is_stale: bool) -> tuple[tuple[str, str], ...]:
        """Returns the challenges for a realm, each cut in two where the nonce stands."""
        values = challenge_headers(realm, _NONCE_MARK, is_stale, self._algorithms)
        halves = [value.partition(_NONCE_MARK) for value in values]
        return tuple([(before, after) for before, _, after in halves])

    def _decoy(self, credentials: Credentials) -> Mapping[str, str]:
        name = f"{credentials.username}\0{credentials.realm}".encode("utf-8", "surrogateescape")
        return {credentials.algorithm: hmac.digest(self._decoy_key, name, "sha256").hex()}


def _user_at(source: str, credentials: Credentials) -> str:
    return f"{source_key(source)} {credentials.username}@{credentials.realm}"
