"""Who makes room while nobody has shown a token."""

from parley.wsigateway.waiting import Waiting


class Guest:
    """Notes that it was asked to close."""

    def __init__(self) -> None:
        self.code: int | None = None

    def end(self, code: int | None, reason: str = "") -> None:
        self.code = code


def test_a_network_of_ipv6_makes_room_for_itself() -> None:
    waiting = Waiting(10, 2, 1013)
    other, *guests = (Guest() for _ in range(4))
    waiting.join(other, "2001:db8:0:1::1")
    for number, guest in enumerate(guests):
        waiting.join(guest, f"2001:db8::{number}")
    assert [guest.code for guest in (other, *guests)] == [None, 1013, None, None]
