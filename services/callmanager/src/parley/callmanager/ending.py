"""Why a call ends: one classified value, and how SIP statuses become one."""

from typing import Final

import structlog
from msgspec import Struct

from parley.callmanager.redirection import MOVED
from parley.callmanager.sip_profile import warning_of
from parley.model.call import CallRecord, CallResult, EndedBy, Termination
from parley.model.media import Reply, ReplyError
from parley.sdp import Obstacle

NO_ANSWER_REASON: Final = 'Q.850;cause=19;text="No answer from user"'
MEDIA_REASON: Final = 'Q.850;cause=41;text="Temporary failure"'
TIMEOUT_REASON: Final = 'Q.850;cause=102;text="Recovery on timer expiry"'

_logger = structlog.stdlib.get_logger(__name__)


class Ending(Struct, frozen=True):
    """The end of a call.

    Attributes:
        reason: machine-readable detail for the CDR.
        sip_status: final status to the caller while the call is unanswered.
        reasons: Reason values for the BYEs and CANCELs (RFC 3326).
        headers: for the final response to the caller.
    """

    result: CallResult
    reason: str
    by: EndedBy
    sip_status: int
    reasons: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()

    def termination(self, *, is_answered: bool) -> Termination:
        """The CDR's view; a call that was answered stays an answered one, whatever ended it."""
        if is_answered:
            result = CallResult.LOST if self.result is CallResult.LOST else CallResult.ANSWERED
            return Termination(result=result, reason=self.reason, sip_status=200, by=self.by)
        return Termination(
            result=self.result, reason=self.reason, sip_status=self.sip_status, by=self.by
        )


NO_ANSWER = Ending(CallResult.NO_ANSWER, "ring-timeout", EndedBy.PLATFORM, 480, (NO_ANSWER_REASON,))
MEDIA_UNAVAILABLE = Ending(
    CallResult.FAILED, "media-unavailable", EndedBy.PLATFORM, 503, (MEDIA_REASON,)
)
MEDIA_LOST = Ending(CallResult.LOST, "media-lost", EndedBy.PLATFORM, 503, (MEDIA_REASON,))
MEDIA_TIMEOUT = Ending(CallResult.LOST, "media-timeout", EndedBy.PLATFORM, 503, (TIMEOUT_REASON,))
MAX_DURATION = Ending(CallResult.ANSWERED, "max-duration", EndedBy.PLATFORM, 200, (TIMEOUT_REASON,))
NO_ACK = Ending(CallResult.LOST, "ack-timeout", EndedBy.PLATFORM, 408, (TIMEOUT_REASON,))
PHONE_LOST = Ending(CallResult.LOST, "phone-lost", EndedBy.PLATFORM, 408, (TIMEOUT_REASON,))
CALLER_LOST = Ending(CallResult.LOST, "caller-unreachable", EndedBy.PLATFORM, 503)
BAD_CONTACT = Ending(CallResult.FAILED, "unusable-registration", EndedBy.PLATFORM, 480)
SHUT_DOWN = Ending(
    CallResult.LOST, "shutdown", EndedBy.PLATFORM, 503, ('SIP;cause=503;text="Shutting down"',)
)
LOST = Ending(CallResult.LOST, "lost", EndedBy.PLATFORM, 503)
"""Its owner died when nobody was there to take it over."""
BROKEN = Ending(CallResult.FAILED, "internal-error", EndedBy.PLATFORM, 500)

_SDP_FAULTS: Final = frozenset((ReplyError.ADDRESS_REFUSED, ReplyError.INVALID))
_RESULTS: Final = {
    302: CallResult.UNAVAILABLE,
    403: CallResult.REJECTED,
    404: CallResult.NOT_FOUND,
    408: CallResult.NO_ANSWER,
    410: CallResult.NOT_FOUND,
    430: CallResult.UNAVAILABLE,
    480: CallResult.UNAVAILABLE,
    484: CallResult.NOT_FOUND,
    486: CallResult.BUSY,
    600: CallResult.BUSY,
    603: CallResult.REJECTED,
    604: CallResult.NOT_FOUND,
    607: CallResult.REJECTED,
    608: CallResult.REJECTED,
}
_REASONS: Final = {
    CallResult.BUSY: "busy",
    CallResult.REJECTED: "rejected",
    CallResult.UNAVAILABLE: "unavailable",
    CallResult.NOT_FOUND: "not-found",
    CallResult.NO_ANSWER: "no-response",
}
# What says something about the person, or about what was offered. All else speaks to us: challenges
# and extensions are between the phone and this platform, and its faults are not ours (a caller, or
# a trunk, that hears 5xx goes elsewhere).
_PASSED: Final = frozenset((403, 404, 410, 433, 480, 484, 486, 488, 600, 603, 604, 606, 607, 608))
_NOT_ACCEPTABLE: Final = frozenset((406, 415, 493, 580))


def bad_answer(by: EndedBy) -> Ending:
    """The end of a call in which `by` has answered what was not offered to him."""
    return Ending(CallResult.FAILED, "bad-answer", by, 488)


def is_sdp_fault(reply: Reply | None) -> bool:
    """Whether a relay refused what stands in a phone's SDP: another relay would do so too."""
    return reply is not None and reply.error in _SDP_FAULTS


def without_media(reply: Reply | None, by: EndedBy) -> Ending:
    """The end of a call that a relay will not carry, or none can; the SDP came from `by`."""
    if is_sdp_fault(reply):
        headers = (warning_of(Obstacle.ADDRESS),)
        return Ending(CallResult.FAILED, "media-refused", by, 488, (), headers)
    return MEDIA_UNAVAILABLE


def failed_by_callee(status: int, redirected_to: tuple[str, ...] = ()) -> Ending:
    """The end of a call whose best failure this is.

    Args:
        status: of the phone; 302 only with somewhere to go.
        redirected_to: Contact values of a phone that redirects the caller.
    """
    result = _RESULTS.get(status, CallResult.FAILED)
    reason = _REASONS.get(result, f"sip-{status}")
    if status == MOVED and redirected_to:
        headers = tuple(("contact", value) for value in redirected_to)
        return Ending(result, "redirected", EndedBy.CALLEE, MOVED, (), headers)
    return Ending(result, reason, EndedBy.CALLEE, _told(status))


def _told(status: int) -> int:
    if status in _PASSED:
        return status
    if status in _NOT_ACCEPTABLE:
        return 488
    return 603 if status >= 600 else 480


def refused_caller(status: int, reason: str, headers: tuple[tuple[str, str], ...] = ()) -> Ending:
    """The end of a call whose INVITE cannot be used."""
    return Ending(CallResult.FAILED, reason, EndedBy.CALLER, status, (), headers)


def cancelled(reason: str, reasons: tuple[str, ...]) -> Ending:
    """The end of a call that its caller gave up; with the Reason values it gave."""
    return Ending(CallResult.CANCELLED, reason, EndedBy.CALLER, 487, reasons)


def log_end(record: CallRecord) -> None:
    """One line per call; what people ended by themselves is news only to a debugging eye."""
    ended = record.termination
    log = _logger.info if ended.by is EndedBy.PLATFORM else _logger.debug
    log(
        "call ended",
        call_id=record.call_id,
        tenant_id=record.tenant_id,
        result=ended.result.value,
        reason=ended.reason,
        sip_status=ended.sip_status,
        duration_s=record.duration_s,
    )
