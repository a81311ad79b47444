"""What is counted: each makes a platform ready and yields the operation to repeat."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import cycle
from typing import Final

from tests.budget.counted import CountedPlatform
from tests.budget.phone import Phone

USERS: Final = 50

Operate = Callable[[], None]


@contextmanager
def registering(platform: CountedPlatform) -> Iterator[Operate]:
    """REGISTER, 401, REGISTER with digest, 200 of phones that are registered already."""
    users = cycle(f"u{number:06d}" for number in range(USERS))
    with closing(Phone(0, platform.places.sip)) as phone:
        yield lambda: phone.register(next(users))


@contextmanager
def calling(platform: CountedPlatform) -> Iterator[Operate]:
    """INVITE, 180, 200, ACK, BYE, 200 between two phones, both legs, relay and CDR included."""
    places = platform.places
    with (
        closing(Phone(places.caller, places.sip)) as caller,
        closing(Phone(places.callee, places.sip)) as callee,
    ):
        yield lambda: caller.call(callee)


OPERATIONS: Final[dict[str, Callable[[CountedPlatform], AbstractContextManager[Operate]]]] = {
    "register": registering,
    "call": calling,
}
