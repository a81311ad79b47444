"""What a phone leaves undone until it is told to go on: a test breaks things meanwhile."""

from collections.abc import Callable
from enum import Enum


class Step(Enum):
    """Something that a phone does by itself unless it is withheld.

    RING: says 180, and answers later. ANSWER: answers. ACK: acknowledges a 2xx. OFFER: answers a
    re-INVITE or UPDATE. BYE: answers a BYE. CANCEL: ends a cancelled INVITE with 487.
    """

    RING = "ring"
    ANSWER = "answer"
    ACK = "ack"
    OFFER = "offer"
    BYE = "bye"
    CANCEL = "cancel"


class Held:
    """What one call has to do and does not yet.

    Args:
        withheld: the phone's steps that wait; looked at whenever one is reached.
    """

    def __init__(self, withheld: set[Step]) -> None:
        self._withheld = withheld
        self._waiting: dict[Step, list[Callable[[], None]]] = {}

    def reach(self, step: Step, act: Callable[[], None]) -> None:
        """Acts, or keeps it for later."""
        if step in self._withheld:
            self._waiting.setdefault(step, []).append(act)
        else:
            act()

    def has(self, step: Step) -> bool:
        """Says whether the call has come to this step and waits there."""
        return bool(self._waiting.get(step))

    def go_on(self, *steps: Step) -> None:
        """Does what waits, and from now on without waiting."""
        self._withheld.difference_update(steps)
        for step in steps:
            for act in self._waiting.pop(step, ()):
                act()
