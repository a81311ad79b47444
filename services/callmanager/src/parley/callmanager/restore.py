"""A call made again from its snapshot by whoever claimed it: it goes on as if nothing had happened.

`restore_call` returns the call with everything in `out.actions` that its new owner has to do first,
in order. Nothing of that waits for a write: the claim was the write. What a predecessor may have
done already is done again in a way that nobody notices: requests with their old branch, responses
to the same transaction, commands that may be repeated (`resume.py`).
"""

from collections.abc import Callable
from math import inf
from typing import Any

from msgspec import Struct

from parley.callmanager.call import Call
from parley.callmanager.call_setup import CallSetup
from parley.callmanager.caller_leg import CALLER_LEG
from parley.callmanager.echo import Echo
from parley.callmanager.ending import LOST
from parley.callmanager.errors import MalformedSnapshot
from parley.callmanager.invite import CallIdentity, InviteTemplate, make_identity
from parley.callmanager.journal import Parties
from parley.callmanager.leg import LegState
from parley.callmanager.outputs import JOIN_WRITE_S, Deadline
from parley.callmanager.parts import OVER, CallState
from parley.callmanager.re_invite import Renegotiation
from parley.callmanager.restore_changes import restore_change, restore_exchange, restore_passed
from parley.callmanager.restore_journal import (
    RestoredTime,
    restore_journal,
    restored_deadlines,
    restored_time,
)
from parley.callmanager.restore_legs import (
    LegSource,
    adopted,
    restore_caller,
    restore_fork,
    restore_sent,
)
from parley.callmanager.resume import end, resume
from parley.callmanager.snapshot import Snapshot, decode_invite
from parley.callmanager.teardown import LINGER_S
from parley.model.ids import InstanceId
from parley.sip.errors import LocalProtocolError, RemoteProtocolError
from parley.sip.ids import Ids
from parley.sip.message import Request


class RestoreContext(Struct, frozen=True):
    """What a restored call needs of its new owner.

    Attributes:
        instance: the new owner; source of the call's events from now on.
        product: for Server and User-Agent.
        adopt: makes the server transaction of a request that the predecessor received and did not
            answer for good (`SipNode.adopt`); what it returns is the transaction that
            `SendResponse` names. It may raise `RemoteProtocolError`: then nobody is answered.
    """

    instance: InstanceId
    product: str
    ids: Ids
    adopt: Callable[[Request], Any]


def restored_invite(snapshot: Snapshot) -> Request:
    """The caller's INVITE, made again of its needed headers; it has no body.

    Raises:
        MalformedSnapshot: they cannot be read.
    """
    uri = snapshot.invite_uri or f"sip:{snapshot.progress.dialled}@{snapshot.domain}"
    try:
        request = Request("INVITE", uri)
        for name, value in decode_invite(snapshot):
            request.add(name, value)
    except (LocalProtocolError, KeyError) as error:
        raise MalformedSnapshot(f"not an INVITE: {error}") from error
    return request


def restore_call(
    snapshot: Snapshot, env: RestoreContext, epoch: int, now: float, wall_s: float
) -> Call:
    """Makes the call again.

    `call.setup.transaction` is None when the caller's INVITE needs no answer any more.

    Args:
        snapshot: as the claim returned it.
        env: the new owner.
        epoch: of the new ownership.
        now: monotonic seconds of this machine.
        wall_s: Unix seconds of this machine.

    Raises:
        MalformedSnapshot: it contradicts itself.
    """
    time = restored_time(snapshot, now, wall_s)
    call = _restore(snapshot, env, epoch, time)
    resume(call, is_settled=time.is_settled)
    return call


def restore_lost_call(
    snapshot: Snapshot,
    env: RestoreContext,
    epoch: int,
    now: float,
    wall_s: float,
    last_seen_s: float,
) -> Call:
    """Makes a call again that nobody held for a while, and ends it (`LOST`).

    Both phones get BYE, phones that ring CANCEL, a caller that waits its final response. The end is
    told as of `last_seen_s` (Unix seconds), when the owner was last heard of, but never before what
    is known to have happened. The rest is as for `restore_call`.

    Raises:
        MalformedSnapshot: it contradicts itself.
    """
    # Whatever was between transactions then is over, whatever the clocks say.
    time = restored_time(snapshot, now, wall_s)._replace(age_s=inf)
    call = _restore(snapshot, env, epoch, time)
    call.parts.journal.published = 0
    if call.state in OVER:
        resume(call, is_settled=True)
    else:
        call.parts.journal.ended_at = _lost_at(call, time, last_seen_s)
        end(call, LOST)
    return call


def _restore(snapshot: Snapshot, env: RestoreContext, epoch: int, time: RestoredTime) -> Call:
    if snapshot.state is CallState.OPENING:
        raise MalformedSnapshot("a call that had not begun")
    try:
        journal = restore_journal(snapshot, env.instance, time)
        setup = _setup(snapshot, env, epoch, time, journal.parties)
        call = Call(setup, time.now, time.wall_s)
        call.parts.journal = journal
        _fill(call, snapshot, env, time)
    except (RemoteProtocolError, LocalProtocolError) as error:
        raise MalformedSnapshot(f"a call that cannot be: {error}") from error
    return call


def _setup(
    snapshot: Snapshot, env: RestoreContext, epoch: int, time: RestoredTime, parties: Parties
) -> CallSetup:
    request = restored_invite(snapshot)
    is_needed = _is_invite_unsettled(snapshot, time)
    return CallSetup(
        parties=parties,
        domain=snapshot.domain,
        product=env.product,
        ids=env.ids,
        transaction=adopted(env.adopt, request) if is_needed else None,
        request=request,
        identity=snapshot.identity or _identity(snapshot, request),
        media_timeout_s=snapshot.media_timeout_s,
        max_duration_s=snapshot.max_duration_s,
        epoch=epoch,
    )


def _is_invite_unsettled(snapshot: Snapshot, time: RestoredTime) -> bool:
    """The caller may still wait for a response, or we for its ACK."""
    caller = next((leg for leg in snapshot.legs if leg.id == CALLER_LEG), None)
    if caller is None:
        raise MalformedSnapshot("a call without a caller")
    if caller.state is LegState.INVITED:
        return True
    is_refused = caller.sip_status is not None and caller.sip_status >= 300
    is_unacked = caller.awaits_ack and caller.unacked is None
    return not time.is_settled and (is_refused or is_unacked)


def _identity(snapshot: Snapshot, request: Request) -> CallIdentity:
    progress = snapshot.progress
    return make_identity(
        request,
        caller=progress.caller or "anonymous",
        name="",
        callee=progress.callee,
        domain=snapshot.domain,
    )


def _fill(call: Call, snapshot: Snapshot, env: RestoreContext, time: RestoredTime) -> None:
    parts, setup, context = call.parts, call.setup, call.context
    source = LegSource(context, time, env.adopt)
    parts.state = CallState.ENDING if snapshot.state is CallState.ENDED else snapshot.state
    parts.ending, parts.now = snapshot.ending, time.now
    restore_caller(parts.caller, snapshot, source)
    if len(snapshot.legs) > 1:
        template = InviteTemplate(setup.request, setup.identity, context.profile, 1)
        parts.fork = restore_fork(snapshot, template, source)
        parts.callee = parts.fork.branches.get(snapshot.callee)
    restore_sent(snapshot, call.out, parts.fork)
    _restore_media(call, snapshot)
    if snapshot.is_echo or (snapshot.state is CallState.ANSWERED and parts.fork is None):
        call.changes = Echo(parts, setup.media_timeout_s)
    if isinstance(call.changes, Renegotiation):
        restore_exchange(call.changes, snapshot, parts, source)
    else:
        restore_change(call.changes, snapshot, source)
    restore_passed(call.passed, snapshot, parts, source)
    ring_s = _restore_ringing(call, snapshot)
    lengths = {
        Deadline.RING: ring_s,
        Deadline.DURATION: setup.max_duration_s,
        Deadline.LINGER: LINGER_S,
        Deadline.JOIN_WRITE: JOIN_WRITE_S,
    }
    call.out.deadlines.update(restored_deadlines(snapshot, lengths, time))


def _restore_media(call: Call, snapshot: Snapshot) -> None:
    media, saved = call.parts.media, snapshot.media
    media.phase = saved.phase
    media.relay, media.old_relay = saved.relay, saved.old_relay
    media.ports = {leg: list(streams) for leg, streams in saved.ports.items()}
    media.indexes.update(saved.indexes)
    for streams in saved.ports.values():
        media.indexes.update(stream.index for stream in streams)


def _restore_ringing(call: Call, snapshot: Snapshot) -> float:
    establishment, caller = call.establishment, call.parts.caller
    if isinstance(call.changes, Echo):
        establishment.take_up_echo(call.changes)
    if snapshot.fork is not None:
        establishment.ring_timeout_s = snapshot.fork.ring_timeout_s
    if not caller.is_answered:
        # Early media may have been told without being written: what is told now must be newer.
        caller.told.version += max(1, call.setup.epoch - snapshot.epoch)
    return establishment.ring_timeout_s or snapshot.max_duration_s


def _lost_at(call: Call, time: RestoredTime, last_seen_s: float) -> float:
    journal = call.parts.journal
    known = (journal.started_at, journal.ringing_at, journal.answered_at)
    return max(min(time.at(last_seen_s), time.now), *(at for at in known if at is not None))
