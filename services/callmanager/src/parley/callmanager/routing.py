"""Where a call goes: a pure decision over the tenant's snapshot and the callee's bindings.

All phones of an extension ring at once. Several flows to one phone (RFC 5626: same instance id)
are one target with alternates: the newest flow is tried first, an older one when it has failed.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace

from parley.model.call import CallResult
from parley.model.ids import InstanceId
from parley.model.registration import Binding
from parley.model.tenant import Extension, TenantSnapshot


class Target(Struct, frozen=True):
    """One phone and the way to it.

    Attributes:
        contact: Request-URI.
        route: Route values, topmost first (the binding's Path, RFC 3327).
        source: signalling address of the phone, from which its media may come as well.
        alternates: other flows to the same phone, in the order to try them.
    """

    contact: str
    route: tuple[str, ...]
    source: str
    edge: InstanceId | None = None
    alternates: "tuple[Target, ...]" = ()


class RingTargets(Struct, frozen=True):
    """Ring all these phones of one extension at once."""

    callee: str
    display_name: str
    targets: tuple[Target, ...]
    timeout_s: float


class Echo(Struct, frozen=True):
    """Answer the call ourselves and send back what is heard."""

    callee: str


class Refuse(Struct, frozen=True):
    """No call."""

    status: int
    reason: str
    result: CallResult


Decision = RingTargets | Echo | Refuse

NOT_FOUND = Refuse(404, "unknown-number", CallResult.NOT_FOUND)
NOT_ALLOWED = Refuse(403, "caller-not-allowed", CallResult.REJECTED)
TENANT_DISABLED = Refuse(403, "tenant-disabled", CallResult.REJECTED)
FOREIGN_DOMAIN = Refuse(403, "foreign-domain", CallResult.REJECTED)
DISABLED = Refuse(480, "extension-disabled", CallResult.UNAVAILABLE)
NOT_REGISTERED = Refuse(480, "not-registered", CallResult.UNAVAILABLE)


class Attempt(Struct, frozen=True):
    """What a caller asks for.

    Attributes:
        caller: the asserted number.
        contact: the caller's own Contact URI: that phone does not ring itself.
        dialled: user part of the Request-URI.
        domain: where it is dialled: domain of the Request-URI; empty for a bare number.
    """

    caller: str
    contact: str
    dialled: str
    domain: str = ""

    def is_foreign_to(self, tenant: TenantSnapshot) -> bool:
        """The number is not one of this tenant's, whatever it is (RFC 3261 16.5)."""
        return bool(self.domain) and self.domain not in tenant.domains

    def dialled_in(self, tenant: TenantSnapshot) -> str:
        """What a tenant's records call the number: with its domain where that is another's."""
        return f"{self.dialled}@{self.domain}" if self.is_foreign_to(tenant) else self.dialled


def find_callee(tenant: TenantSnapshot, attempt: Attempt) -> Extension | Echo | Refuse:
    """The part of the decision that needs no bindings."""
    if not tenant.enabled:
        return TENANT_DISABLED
    caller = tenant.extensions.get(attempt.caller)
    if caller is None or not caller.enabled:
        return NOT_ALLOWED
    if attempt.is_foreign_to(tenant):
        return FOREIGN_DOMAIN
    if attempt.dialled == tenant.settings.echo_number:
        return Echo(attempt.dialled)
    callee = tenant.extensions.get(attempt.dialled)
    if callee is None:
        return NOT_FOUND
    return callee if callee.enabled else DISABLED


def ring_extension(
    tenant: TenantSnapshot,
    callee: Extension,
    bindings: Iterable[Binding],
    attempt: Attempt,
    *,
    wall_s: float,
    max_targets: int,
) -> RingTargets | Refuse:
    """Chooses the phones that ring for an extension."""
    live = [
        binding
        for binding in bindings
        if binding.expires_at > wall_s and binding.contact != attempt.contact
    ]
    if not live:
        return NOT_REGISTERED
    targets = _targets(live)[:max_targets]
    timeout_s = tenant.ring_timeout_s(callee)
    return RingTargets(callee.number, callee.display_name, tuple(targets), timeout_s)


def _targets(bindings: Sequence[Binding]) -> list[Target]:
    """One target per phone, the last registered phone first."""
    if len(bindings) == 1:
        return [_target(bindings[0])]
    phones: dict[object, list[Target]] = {}
    for binding in sorted(bindings, key=attrgetter("expires_at"), reverse=True):
        phone = binding.instance_id or binding.identity
        phones.setdefault(phone, []).append(_target(binding))
    return [
        replace(flows[0], alternates=tuple(flows[1:])) if len(flows) > 1 else flows[0]
        for flows in phones.values()
    ]


def _target(binding: Binding) -> Target:
    return Target(binding.contact, tuple(binding.path), binding.source, binding.edge)
