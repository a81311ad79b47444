"""What a REGISTER does to the bindings of one AOR (RFC 3261 10.3, RFC 5626, RFC 3327).

Pure decisions: the bindings there are, what the phone asks for and the wall clock go in; either
the new list with what changed, or a refusal, comes out. All contacts of a request take effect or
none.

Choices where the RFC leaves one:
- One instance is one phone (`+sip.instance`, RFC 5626 4.1). It has one binding, the newest,
  whatever its URI: ports and addresses change with every restart; with outbound it has one for each
  `reg-id`. Without outbound it takes a binding back by its URI only: that may be an older one's.
- Else a contact is the same binding when its URI is equal by 19.1.4. A URI with another address
  than the source's is written behind NAT and means something there only: phones at two places may
  write the same one. It is the same phone when the source is the same, or the Call-ID, which a
  phone keeps when its network gets another address.
- When there are too many, bindings that hang on a connection which is gone give way, the one that
  ends first before the others: a phone that connects anew is taken. Else 403.
- An out-of-order CSeq within one Call-ID is refused with 500, as one within a dialog is.
- An expiry longer than ours is shortened, a shorter one refused with 423 (10.3 step 7).
- The list is ordered by q, the highest first, then by who registered first.
"""

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address

from msgspec import Struct

from parley.edgeproxy.registrar.register_request import (
    ContactRequest,
    Refused,
    RegisterRequest,
)
from parley.model.registration import DEFAULT_Q, Binding
from parley.sip.uri import SipUri, parse_uri


class RegistrarLimits(Struct, frozen=True):
    """What a phone may ask for; seconds, except `max_bindings`."""

    min_expires_s: int = 60
    default_expires_s: int = 3600
    max_expires_s: int = 3600
    max_bindings: int = 10


class Accepted(Struct):
    """The new bindings of the AOR and what changed; `expired` ran out before this request."""

    bindings: list[Binding]
    added: list[Binding] = []
    refreshed: list[Binding] = []
    removed: list[Binding] = []
    expired: list[Binding] = []

    @property
    def is_changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.added or self.refreshed or self.removed or self.expired)


def decide(
    current: Sequence[Binding],
    wanted: RegisterRequest,
    wall_s: float,
    limits: RegistrarLimits,
    is_gone: Callable[[Binding], bool],
) -> Accepted | Refused:
    """Applies a REGISTER to the bindings of its AOR (RFC 3261 10.3 steps 6 to 8).

    Args:
        current: the bindings there are.
        wanted: what the phone asks for.
        wall_s: Unix time in seconds.
        limits: of its tenant.
        is_gone: says whether a binding's connection is closed; asked when there are too many.
    """
    outcome = Accepted([])
    for one in current:
        (outcome.bindings if one.expires_at > wall_s else outcome.expired).append(one)
    if wanted.removes_all:
        return _remove_all(outcome, wanted)
    for contact in wanted.contacts:
        refusal = _apply(outcome, wanted, contact, wall_s, limits)
        if refusal is not None:
            return refusal
    count = len(outcome.bindings)
    surplus = count - limits.max_bindings
    if surplus > 0 and outcome.added and not _make_room(outcome, surplus, is_gone):
        return Refused(403, "Too Many Contacts Registered")
    if count > 1:
        outcome.bindings.sort(key=_descending_q)
    return outcome


def contact_values(bindings: Iterable[Binding], wall_s: float) -> str:
    """Writes the Contact header of a 200, each value with its seconds left (10.3 step 8)."""
    values = [_contact_value(one, wall_s) for one in bindings]
    return values[0] if len(values) == 1 else ", ".join(values)


def _contact_value(one: Binding, wall_s: float) -> str:
    # Rounded, so that a phone that asked for 60 reads 60.
    text = f"<{one.contact}>;expires={round(one.expires_at - wall_s)}"
    if one.q != DEFAULT_Q:
        text += f";q={one.q:.3g}"
    if one.instance_id is not None:
        text += f';+sip.instance="{one.instance_id}"'
        if one.reg_id is not None:
            text += f";reg-id={one.reg_id}"
    return text


def _expiry(one: Binding) -> float:
    return one.expires_at


def _descending_q(one: Binding) -> float:
    return -one.q


def _remove_all(outcome: Accepted, wanted: RegisterRequest) -> Accepted | Refused:
    if any(_is_out_of_order(one, wanted) for one in outcome.bindings):
        return Refused(500, "CSeq Out of Order")
    outcome.removed = outcome.bindings
    outcome.bindings = []
    return outcome


def _apply(
    outcome: Accepted,
    wanted: RegisterRequest,
    contact: ContactRequest,
    wall_s: float,
    limits: RegistrarLimits,
) -> Refused | None:
    expires_s = contact.expires_s
    if expires_s is None:
        expires_s = limits.default_expires_s
    if 0 < expires_s < limits.min_expires_s:
        return Refused(423, None, (("min-expires", str(limits.min_expires_s)),))
    bindings = outcome.bindings
    at = _find(bindings, contact, wanted)
    if at is not None and _is_out_of_order(bindings[at], wanted):
        return Refused(500, "CSeq Out of Order")
    if not expires_s:
        if at is not None:
            outcome.removed.append(bindings.pop(at))
        return None
    lasts_s = expires_s if expires_s < limits.max_expires_s else limits.max_expires_s
    made = _bind(wanted, contact, wall_s + lasts_s)
    if at is None:
        bindings.append(made)
        outcome.added.append(made)
    elif bindings[at].identity == made.identity:
        bindings[at] = made
        outcome.refreshed.append(made)
    else:
        outcome.removed.append(bindings[at])
        bindings[at] = made
        outcome.added.append(made)
    if made.instance_id is not None and len(bindings) > 1:
        _drop_other_kind(outcome, made)
    return None


def _drop_other_kind(outcome: Accepted, made: Binding) -> None:
    """Takes out what the phone bound with outbound when it goes without now, and the reverse."""
    others = [
        one
        for one in outcome.bindings
        if one.instance_id == made.instance_id and (one.reg_id is None) != (made.reg_id is None)
    ]
    for one in others:
        outcome.bindings.remove(one)
        outcome.removed.append(one)


def _make_room(outcome: Accepted, count: int, is_gone: Callable[[Binding], bool]) -> bool:
    """Takes out so many bindings that cannot be reached; False when there are fewer."""
    gone = [one for one in outcome.bindings if one not in outcome.added and is_gone(one)]
    if len(gone) < count:
        return False
    for one in sorted(gone, key=_expiry)[:count]:
        outcome.bindings.remove(one)
        outcome.removed.append(one)
    return True


def _bind(wanted: RegisterRequest, contact: ContactRequest, expires_at: float) -> Binding:
    return Binding(
        aor=wanted.aor,
        contact=contact.uri,
        path=list(wanted.path),
        expires_at=expires_at,
        instance_id=contact.instance_id,
        reg_id=contact.reg_id,
        call_id=wanted.call_id,
        cseq=wanted.cseq,
        user_agent=wanted.user_agent,
        edge=wanted.edge,
        source=wanted.source,
        q=contact.q,
    )


def _is_out_of_order(stored: Binding, wanted: RegisterRequest) -> bool:
    return stored.call_id == wanted.call_id and wanted.cseq <= stored.cseq


def _find(
    bindings: Sequence[Binding], contact: ContactRequest, wanted: RegisterRequest
) -> int | None:
    if contact.reg_id is not None or (contact.instance_id is not None and contact.expires_s != 0):
        for at, one in enumerate(bindings):
            if one.instance_id == contact.instance_id and one.reg_id == contact.reg_id:
                return at
        if contact.reg_id is not None:
            return None
    for at, one in enumerate(bindings):
        if one.contact == contact.uri and one.source == wanted.source:
            return at
    # Spelt differently, or from elsewhere, it may still be the same.
    uri = parse_uri(contact.uri) if bindings else None
    for at, one in enumerate(bindings):
        if one.reg_id is None and parse_uri(one.contact).matches(uri):
            is_one_place = one.source == wanted.source or one.call_id == wanted.call_id
            if is_one_place or not (_is_behind_nat(uri, one) and _is_behind_nat(uri, wanted)):
                return at
    return None


def _is_behind_nat(uri: object, sender: Binding | RegisterRequest) -> bool:
    """Says whether the address in a contact is not the one that its REGISTER came from."""
    if not isinstance(uri, SipUri) or uri.host == sender.source:
        return False
    try:
        ip_address(uri.host)
    except ValueError:
        return False
    return True


def expire(current: Sequence[Binding], wall_s: float) -> Accepted:
    """Takes out what has run out."""
    live = [one for one in current if one.expires_at > wall_s]
    return Accepted(live, expired=[one for one in current if one.expires_at <= wall_s])
