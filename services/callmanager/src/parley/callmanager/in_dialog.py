"""Requests of the phones within their dialogs: which part of the call they are for."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from parley.callmanager.echo import Echo
from parley.callmanager.ending import Ending, cancelled, failed_by_callee
from parley.callmanager.leg import Leg
from parley.callmanager.parts import OVER, CallParts, CallState
from parley.callmanager.pass_through import PassThrough
from parley.callmanager.re_invite import REQUEST_PENDING, Renegotiation
from parley.callmanager.rehoming import Rehoming
from parley.callmanager.sip_profile import ACCEPT, ALLOW
from parley.model.call import CallResult
from parley.sip.message import Request


class DialogCall(Protocol):
    """What a request within a dialog needs of its call, `call.py`'s."""

    parts: CallParts
    changes: Renegotiation | Echo
    passed: PassThrough
    rehoming: Rehoming

    def end(
        self, ending: Ending, now: float, asked: tuple[Leg, Any, Request] | None = None
    ) -> None:
        """Ends the call."""
        ...


def adopt(call: DialogCall, leg: Leg, transaction: Any, request: Request) -> bool:
    """Takes a request that is known: it came again by another way, or to us from a predecessor."""
    return (
        leg.adopt(transaction, request)
        or call.changes.adopt(leg, transaction, request)
        or call.passed.adopt(leg, transaction, request)
    )


def receive(call: DialogCall, leg: Leg, transaction: Any, request: Request, now: float) -> None:
    """Takes a new request."""
    handler = _REQUESTS.get(request.method)
    status = leg.check_request(request)
    if status is not None:
        leg.respond(transaction, request, status)
    elif handler is None:
        leg.respond(transaction, request, 405, headers=(("allow", ALLOW),))
    elif handler is not _on_bye and not call.parts.is_party(leg):
        leg.respond(transaction, request, 481)
    else:
        handler(call, leg, transaction, request, now)


def _on_bye(call: DialogCall, leg: Leg, transaction: Any, request: Request, now: float) -> None:
    parts = call.parts
    if parts.state in OVER or not parts.is_party(leg):
        # A phone that answered too late hangs up before our BYE has reached it: nobody else hears.
        leg.respond(transaction, request, 200)
        leg.close(now)
        return
    reasons = leg.disconnect_event(request).reasons
    is_caller = leg is parts.caller
    if parts.journal.answered_at is not None:
        ending = Ending(CallResult.ANSWERED, "hangup", parts.side_of(leg), 200, reasons)
    else:
        ending = cancelled("hangup", reasons) if is_caller else failed_by_callee(480)
    call.end(ending, now, (leg, transaction, request))


def _on_change(call: DialogCall, leg: Leg, transaction: Any, request: Request, now: float) -> None:
    if call.rehoming.phones.refuses(request):
        leg.respond(transaction, request, REQUEST_PENDING)
    elif call.parts.state is CallState.ANSWERED:
        call.changes.receive_request(leg, transaction, request, now)
    elif call.parts.state in OVER:
        leg.respond(transaction, request, 481)
    else:
        # RFC 3261 14.2, RFC 3311 5.2: the first offer has no answer yet.
        leg.respond(transaction, request, 500, headers=(("retry-after", "2"),))


def _on_passed(call: DialogCall, leg: Leg, transaction: Any, request: Request, now: float) -> None:
    if call.parts.state is CallState.ANSWERED:
        call.passed.receive_request(leg, transaction, request)
    else:
        leg.respond(transaction, request, 481 if call.parts.state in OVER else 480)


def _on_options(call: DialogCall, leg: Leg, transaction: Any, request: Request, now: float) -> None:
    leg.respond(transaction, request, 200, headers=(("allow", ALLOW), ("accept", ACCEPT)))


_REQUESTS: Final[dict[str, Callable[[DialogCall, Leg, Any, Request, float], None]]] = {
    "BYE": _on_bye,
    "INVITE": _on_change,
    "UPDATE": _on_change,
    "INFO": _on_passed,
    "MESSAGE": _on_passed,
    "OPTIONS": _on_options,
}
