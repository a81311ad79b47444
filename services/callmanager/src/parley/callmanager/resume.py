"""The first things that a new owner does for a call: whatever may have been left undone.

The snapshot says what was meant to happen after it was written, not whether it did. So all of that
is done again; who has it already takes it for a retransmission. What is older than any transaction
lasts is settled, and left alone.
"""

from parley.callmanager import teardown
from parley.callmanager.actions import BindDialog, MediaPurpose
from parley.callmanager.call import Call
from parley.callmanager.callee_leg import INVITE_CSEQ, CalleeLeg
from parley.callmanager.ending import Ending
from parley.callmanager.leg import LegState
from parley.callmanager.media_session import MediaPhase
from parley.callmanager.outputs import Purpose
from parley.callmanager.parts import OVER, CallState


def resume(call: Call, *, is_settled: bool) -> None:
    """Takes the call up again; `is_settled`: the snapshot is older than any transaction lasts."""
    parts = call.parts
    call.out.claimed()
    _bind_all(call)
    if parts.state in OVER:
        _close_media(call)
    elif parts.media.phase is MediaPhase.OPEN:
        call.out.command(MediaPurpose.ADOPT, parts.media.update(()))
    _answer_again(call)
    _invite_again(call)
    if is_settled:
        _settle(call)
    else:
        _release_again(call)
    if parts.state is CallState.ANSWERED:
        call.changes.resume()
    ending = call.establishment.resume()
    call.rehoming.resume(parts.now, is_settled=is_settled)
    call.out.publish()
    if ending is not None:
        call.terminate(ending, parts.now)
    call.handle_timeout(parts.now)


def end(call: Call, ending: Ending) -> None:
    """Ends a call that goes on nowhere; nobody who waits for an answer gets another one."""
    _bind_all(call)
    _settle(call)
    call.terminate(ending, call.parts.now)


def _bind_all(call: Call) -> None:
    """In-dialog requests find their legs from now on."""
    for leg in call.parts.legs():
        call.out.actions.append(BindDialog(leg.sip_call_id, leg.tag, leg.id))


def _close_media(call: Call) -> None:
    media = call.parts.media
    if media.phase in (MediaPhase.NONE, MediaPhase.CLOSED):
        media.abandon()
        teardown.write_record(call.parts)
    else:
        call.out.command(MediaPurpose.CLOSE, media.close())


def _answer_again(call: Call) -> None:
    """A refusal that may not have left, a 2xx that has no ACK."""
    caller = call.parts.caller
    if caller.final is not None and caller.unacked is None:
        call.out.respond(caller.transaction, caller.final)
    for leg in call.parts.legs():
        leg.accept_again()


def _invite_again(call: Call) -> None:
    for leg in _phones(call):
        if leg.state is LegState.INVITED and leg.key is not None:
            leg.is_inherited = False
            call.out.send_again(leg.key)


def _release_again(call: Call) -> None:
    """What ends a leg, what acknowledges an answer and what one party asks the other."""
    for leg in _phones(call):
        if leg.dialog is None:
            if leg.state is LegState.CLOSING:
                leg.cancel_inherited(None)
        elif not leg.is_closed and not leg.owes_ack and leg.dialog.local_cseq == INVITE_CSEQ:
            # Once another request followed the ACK is known to have left.
            leg.acknowledge(INVITE_CSEQ, leg.ack_body)
    for key, sent in list(call.out.requests.items()):
        if sent.purpose in (Purpose.BYE, Purpose.PASSED_ON):
            call.out.send_again(key)


def _settle(call: Call) -> None:
    """What a predecessor asked a long time ago is answered, or will not be."""
    parts = call.parts
    for leg in _phones(call):
        if leg.state is LegState.CLOSING and leg.dialog is None:
            leg.close(parts.now)
    for key, sent in list(call.out.requests.items()):
        asked = parts.leg(sent.leg)
        if sent.purpose is Purpose.BYE and asked is not None:
            asked.close(parts.now)
        if sent.purpose in (Purpose.BYE, Purpose.PASSED_ON):
            del call.out.requests[key]
    for each in parts.legs():
        if each.owes_bye is not None:
            call.out.write()
            each.settle_bye()


def _phones(call: Call) -> list[CalleeLeg]:
    return [leg for leg in call.parts.legs() if isinstance(leg, CalleeLeg)]
