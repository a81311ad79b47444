"""Requests within an answered call that go on to the other party as they are (INFO, MESSAGE)."""

from typing import Any, Final, NamedTuple

from parley.callmanager.leg import Leg, is_repeated
from parley.callmanager.outputs import Purpose
from parley.callmanager.parts import CallParts
from parley.callmanager.sip_profile import refusal_of, refusal_of_failure, with_vias_of
from parley.sip.message import Message, Request, Response, response_to

PASSED_METHODS: Final = frozenset(("INFO", "MESSAGE"))
KEPT_BYTES: Final = 1024
"""Larger answers are not kept, so that snapshots stay small."""
_PASSED_HEADERS: Final = (
    "content-type",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-id",
    "info-package",
    "recv-info",
    "subject",
    "date",
    "imdn-message-id",
    "retry-after",
)


class Passed(NamedTuple):
    """A request under way to the other party."""

    leg: Leg
    transaction: Any
    request: Request


class PassThrough:
    """The requests of both parties that wait for the other's answer.

    Attributes:
        waiting: by the key of our request.
        given: the last answer that each leg got from the other: a request that comes again to a
            successor is answered, not passed on a second time.
    """

    __slots__ = ("_parts", "given", "waiting")

    def __init__(self, parts: CallParts) -> None:
        self._parts = parts
        self.waiting: dict[int, Passed] = {}
        self.given: dict[str, Response] = {}

    def receive_request(self, leg: Leg, transaction: Any, request: Request) -> None:
        """Sends a request on; answers it when there is nobody to send it to."""
        other = self._parts.opposite(leg)
        if other is None:
            # The echo takes note of what it is told.
            leg.respond(transaction, request, 200)
        elif not other.is_up:
            leg.respond(transaction, request, 480)
        else:
            passed = other.new_request(request.method)
            _copy_content(request, passed)
            self.waiting[other.send(passed, Purpose.PASSED_ON)] = Passed(leg, transaction, request)

    def adopt(self, leg: Leg, transaction: Any, request: Request) -> bool:
        """Takes a request that is known when it comes again; False when it is another."""
        given = self.given.get(leg.id)
        if given is not None and given.cseq == request.cseq:
            self._parts.out.respond(transaction, with_vias_of(request, given))
            return True
        for key, passed in self.waiting.items():
            if passed.leg is leg and is_repeated(passed.request, request):
                self._parts.out.supersede(passed.transaction, passed.request, transaction)
                self.waiting[key] = Passed(leg, transaction, request)
                return True
        return False

    def receive_response(self, key: int, response: Response) -> None:
        """Brings the answer back."""
        if response.status < 200:
            return
        passed = self.waiting.pop(key, None)
        if passed is not None:
            status = response.status if response.status < 300 else refusal_of(response)
            reason = response.reason if status == response.status else None
            answer = response_to(passed.request, status, reason)
            _copy_content(response, answer)
            self._answer(passed, answer)

    def receive_failure(self, key: int, status: int) -> None:
        """Nobody answered, or there was no way."""
        passed = self.waiting.pop(key, None)
        if passed is not None:
            self._answer(passed, response_to(passed.request, refusal_of_failure(status)))

    def _answer(self, passed: Passed, answer: Response) -> None:
        if len(answer.body) <= KEPT_BYTES:
            self.given[passed.leg.id] = answer
        self._parts.out.write()
        self._parts.out.respond(passed.transaction, answer)

    def abort(self) -> None:
        """The call ends: nobody will answer."""
        for passed in self.waiting.values():
            passed.leg.respond(passed.transaction, passed.request, 487)
        self.waiting.clear()


def _copy_content(source: Message, target: Message) -> None:
    for name in _PASSED_HEADERS:
        if source.has(name):
            target.extend(name, source.get_all(name))
    target.body = source.body
