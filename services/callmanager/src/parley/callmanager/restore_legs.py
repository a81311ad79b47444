"""Legs and the fork, made again from a snapshot."""

from collections.abc import Callable
from typing import Any, NamedTuple

from parley.callmanager.callee_leg import CalleeLeg
from parley.callmanager.caller_leg import CALLER_LEG, CallerLeg
from parley.callmanager.errors import MalformedSnapshot
from parley.callmanager.forking import Fork
from parley.callmanager.invite import InviteTemplate, next_hop
from parley.callmanager.leg import Leg, LegContext, LegState
from parley.callmanager.local_description import LocalDescription
from parley.callmanager.outputs import Outputs, Purpose, SentRequest
from parley.callmanager.party_description import PartyDescription
from parley.callmanager.restore_journal import RestoredTime
from parley.callmanager.snapshot import Snapshot
from parley.callmanager.snapshot_parts import LegSnapshot, RequestSnapshot, SentSnapshot
from parley.sdp import SdpError
from parley.sip.dialog import Dialog
from parley.sip.errors import ProtocolError, RemoteProtocolError
from parley.sip.hop import Hop
from parley.sip.message import Request


class LegSource(NamedTuple):
    """What restored legs are made with."""

    context: LegContext
    time: RestoredTime
    adopt: Callable[[Request], Any]


def restored_request(snapshot: RequestSnapshot) -> Request:
    """Makes a request again, byte for byte without what was left out."""
    request = Request(snapshot.method, snapshot.uri)
    for name, value in snapshot.headers:
        request.add(name, value)
    request.body = snapshot.body
    return request


def description(body: bytes) -> PartyDescription | None:
    """A party's description; None without one.

    Raises:
        MalformedSnapshot: it cannot be read, though it could once.
    """
    if not body:
        return None
    try:
        return PartyDescription(body)
    except SdpError as error:
        raise MalformedSnapshot(f"not a description: {error}") from error


def adopted(adopt: Callable[[Request], Any], request: Request) -> Any:
    """The transaction of a request that a predecessor received; one of nobody when it has none."""
    try:
        return adopt(request)
    except RemoteProtocolError:
        return None


def restore_caller(leg: CallerLeg, snapshot: Snapshot, source: LegSource) -> None:
    """Fills the caller's leg, whose INVITE and transaction it has already."""
    saved = _leg_of(snapshot, CALLER_LEG)
    _fill(leg, saved, source)
    leg.contact = leg.request.contacts[0].uri_text if leg.request.contacts else ""
    leg.is_answered = leg.state is not LegState.INVITED
    if leg.transaction is None:
        return
    if leg.is_answered and saved.awaits_ack and saved.unacked is None:
        leg.unacked, leg.unacked_request = leg.transaction, leg.request
        leg.final = leg.acceptance(leg.told.body)
    ending = snapshot.ending
    if leg.is_answered and leg.answered_at is None and ending is not None:
        leg.final = leg.refusal(leg.sip_status or 500, ending.headers, ending.reasons)


def restore_fork(snapshot: Snapshot, template: InviteTemplate, source: LegSource) -> Fork:
    """Makes the phones again that rang, or may."""
    party = snapshot.progress.callee
    fork = Fork(party, template, source.context)
    if snapshot.fork is not None:
        fork.failures.extend(snapshot.fork.failures)
        fork.redirected_to = snapshot.fork.redirected_to
        template.breadth = snapshot.fork.breadth
    for saved in snapshot.legs:
        if saved.target is None:
            continue
        leg = CalleeLeg(saved.id, saved.party, saved.target, source.context, source.time.now)
        _fill(leg, saved, source)
        leg.key = saved.key or None
        leg.owes_ack = saved.owes_ack
        leg.ack_body = saved.ack_body
        leg.is_cancelled = saved.is_cancelled
        leg.early = description(saved.early)
        leg.is_inherited = True
        if leg.state is LegState.INVITED:
            # Early media is told anew when the phone's progress comes again.
            leg.remote = None
        fork.branches[saved.id] = leg
        _restore_invite(leg, template)
    return fork


def restore_sent(snapshot: Snapshot, out: Outputs, fork: Fork | None) -> None:
    """Notes the requests whose responses are of interest, under their old branches."""
    out.last_key = snapshot.last_key
    for saved in snapshot.sent:
        out.last_key = max(out.last_key, saved.key)
        request, hop = _whole(saved, fork)
        out.requests[saved.key] = SentRequest(saved.purpose, saved.leg, saved.epoch, request, hop)


def _whole(saved: SentSnapshot, fork: Fork | None) -> tuple[Request | None, Hop | None]:
    if saved.request is not None:
        return restored_request(saved.request), saved.hop
    leg = None if fork is None else fork.branches.get(saved.leg)
    if saved.purpose is Purpose.INVITE and leg is not None and leg.request is not None:
        return leg.request, next_hop(leg.target)
    return None, None


def _restore_invite(leg: CalleeLeg, template: InviteTemplate) -> None:
    """The INVITE as it left: the same template, and what the phone was told first."""
    if leg.key is not None:
        try:
            leg.request = template.build(leg.target, leg.sip_call_id, leg.tag, leg.told.body)
        except ProtocolError as error:
            raise MalformedSnapshot(f"leg {leg.id} has no INVITE: {error}") from error


def _leg_of(snapshot: Snapshot, leg_id: str) -> LegSnapshot:
    for saved in snapshot.legs:
        if saved.id == leg_id:
            return saved
    raise MalformedSnapshot(f"a call without leg {leg_id}")


def _fill(leg: Leg, saved: LegSnapshot, source: LegSource) -> None:
    time = source.time
    leg.state = saved.state
    leg.sip_call_id = saved.sip_call_id
    leg.tag = saved.tag
    leg.party = saved.party
    leg.learn_from = saved.learn_from
    leg.told = LocalDescription(saved.told_session, saved.told_version, saved.told_body)
    leg.remote = description(saved.remote)
    leg.owes_bye = saved.owes_bye
    leg.owes_move, leg.media_note = saved.owes_move, saved.media_note
    leg.sip_status = saved.sip_status
    leg.started_at = time.at(saved.started_at) if saved.started_at else time.now
    leg.answered_at = time.at_or_none(saved.answered_at)
    leg.ended_at = time.at_or_none(saved.ended_at)
    if saved.dialog is not None:
        leg.dialog = _dialog(saved.dialog)
    if saved.unacked is not None and not leg.is_closed and not time.is_settled:
        leg.unacked_request = restored_request(saved.unacked)
        leg.unacked = adopted(source.adopt, leg.unacked_request)


def _dialog(record: dict[str, Any]) -> Dialog:
    try:
        return Dialog.from_record(record)
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedSnapshot(f"not a dialog: {error!r}") from error
