"""Requests within an answered call that go on to the other party as they are (INFO, MESSAGE)."""

from typing import Any, Final, NamedTuple

from parley.callmanager.leg import Leg
from parley.callmanager.outputs import Purpose
from parley.callmanager.parts import CallParts
from parley.sip.message import Message, Request, Response, response_to

PASSED_METHODS: Final = frozenset(("INFO", "MESSAGE"))
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
    "warning",
    "retry-after",
)


class Passed(NamedTuple):
    """A request under way to the other party."""

    leg: Leg
    transaction: Any
    request: Request


class PassThrough:
    """The requests of both parties that wait for the other's answer."""

    __slots__ = ("_parts", "_waiting")

    def __init__(self, parts: CallParts) -> None:
        self._parts = parts
        self._waiting: dict[int, Passed] = {}

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
            self._waiting[other.send(passed, Purpose.PASSED_ON)] = Passed(leg, transaction, request)

    def receive_response(self, key: int, response: Response) -> None:
        """Brings the answer back."""
        if response.status < 200:
            return
        passed = self._waiting.pop(key, None)
        if passed is not None:
            answer = response_to(passed.request, response.status, response.reason)
            _copy_content(response, answer)
            self._parts.out.respond(passed.transaction, answer)

    def receive_failure(self, key: int, status: int) -> None:
        """Nobody answered."""
        passed = self._waiting.pop(key, None)
        if passed is not None:
            passed.leg.respond(passed.transaction, passed.request, status)

    def abort(self) -> None:
        """The call ends: nobody will answer."""
        for passed in self._waiting.values():
            passed.leg.respond(passed.transaction, passed.request, 487)
        self._waiting.clear()


def _copy_content(source: Message, target: Message) -> None:
    for name in _PASSED_HEADERS:
        if source.has(name):
            target.extend(name, source.get_all(name))
    target.body = source.body
