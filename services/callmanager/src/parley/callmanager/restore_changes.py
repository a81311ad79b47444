"""What was under way within an answered call, made again from a snapshot.

The phone's requests are adopted, so that they are answered when ours are.
"""

from parley.callmanager.echo import Change, Echo
from parley.callmanager.errors import MalformedSnapshot
from parley.callmanager.exchange import Exchange
from parley.callmanager.leg import Leg
from parley.callmanager.parts import CallParts
from parley.callmanager.pass_through import Passed, PassThrough
from parley.callmanager.re_invite import Renegotiation
from parley.callmanager.restore_legs import LegSource, adopted, description, restored_request
from parley.callmanager.snapshot import Snapshot
from parley.callmanager.snapshot_parts import GivenSnapshot
from parley.sip.message import Response


def restore_exchange(
    changes: Renegotiation, snapshot: Snapshot, parts: CallParts, source: LegSource
) -> None:
    """Fills in the re-INVITE or UPDATE under way, and what late 2xx are acknowledged with."""
    for orphan in snapshot.orphans:
        changes.orphans[orphan.key] = (_leg(parts, orphan.leg), orphan.cseq, orphan.body)
    saved = snapshot.exchange
    if saved is None:
        return
    request = restored_request(saved.request)
    origin, target = _leg(parts, saved.origin), _leg(parts, saved.target)
    exchange = Exchange(origin, target, None, request, description(saved.offer))
    exchange.phase = saved.phase
    exchange.answer = description(saved.answer)
    exchange.key = saved.key
    exchange.cseq = saved.cseq
    if exchange.is_unanswered:
        exchange.transaction = adopted(source.adopt, request)
    changes.exchange = exchange


def restore_change(echo: Echo, snapshot: Snapshot, source: LegSource) -> None:
    """Fills in what the caller of an echo call asked for."""
    saved = snapshot.change
    offer = None if saved is None else description(saved.offer)
    if saved is not None and offer is not None:
        request = restored_request(saved.request)
        echo.pending = Change(adopted(source.adopt, request), request, offer)


def restore_passed(
    passed: PassThrough, snapshot: Snapshot, parts: CallParts, source: LegSource
) -> None:
    """Fills in the requests that wait for the other party; old ones are answered or given up."""
    for given in snapshot.given:
        passed.given[given.leg] = _response(given)
    if source.time.is_settled:
        return
    for saved in snapshot.passed:
        request = restored_request(saved.request)
        transaction = adopted(source.adopt, request)
        passed.waiting[saved.key] = Passed(_leg(parts, saved.leg), transaction, request)


def _response(saved: GivenSnapshot) -> Response:
    response = Response(saved.status, saved.reason)
    for name, value in saved.headers:
        response.add(name, value)
    response.body = saved.body
    return response


def _leg(parts: CallParts, leg_id: str) -> Leg:
    leg = parts.leg(leg_id)
    if leg is None:
        raise MalformedSnapshot(f"a change of a leg {leg_id} that is not there")
    return leg
