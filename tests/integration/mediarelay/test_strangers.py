"""What a stranger hears, and is heard, at a media port: the matrix of "RTP bleed" and injection.

`pytest tests/integration/mediarelay/test_strangers.py -rP` prints it. The stranger sprays before
the phone speaks and after; the phone's SDP names its address, or one behind a NAT from which
nothing comes. A phone behind NAT and a stranger behind the same one cannot be told apart in plain
RTP until the phone has spoken.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from parley.mediaengine import Engine
from parley.model.media import Address
from parley.model.scene import Endpoint, Scene, Source, Stream, Transport
from parley.service.clock import SystemClock

PRIVATE = Address("10.255.255.1", 4000)
NAT = "127.0.0.9"
ELSEWHERE = "127.0.0.10"
SPRAYED = 50
PACE_S = 0.002
PATIENCE_S = 3.0


class Party:
    """A socket that sends one stream of RTP."""

    def __init__(self, ip: str, ssrc: int) -> None:
        self.ip = ip
        self.ssrc = ssrc
        self._sequence = 0
        self.bind()

    def bind(self) -> None:
        """Takes another port, as when a NAT forgets."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.ip, 0))
        self.socket.settimeout(PACE_S)

    def send(self, port: int) -> None:
        self._sequence += 1
        head = bytes([0x80, 0]) + self._sequence.to_bytes(2, "big")
        stamp = (self._sequence * 160).to_bytes(4, "big")
        packet = head + stamp + self.ssrc.to_bytes(4, "big") + b"\xd5" * 160
        self.socket.sendto(packet, ("127.0.0.1", port))

    def heard(self) -> list[int]:
        """The SSRCs of what has come."""
        found = []
        try:
            while True:
                found.append(int.from_bytes(self.socket.recv(2000)[8:12], "big"))
        except TimeoutError:
            return found


class Call:
    """Leg "a" under attack, bridged with "b"."""

    def __init__(self, engine: Engine, session: str, transport: Transport, b: Party) -> None:
        self.b = b
        self._engine = engine
        self._session = session
        self._revision = 0
        self.describe(transport)

    def describe(self, transport: Transport) -> None:
        there = Transport(Address(*self.b.socket.getsockname()))
        legs = {leg: Endpoint([Stream(0, at)]) for leg, at in (("a", transport), ("b", there))}
        scene = Scene(legs, {"a": [Source("b")], "b": [Source("a")]})
        self._revision += 1
        opened = self._engine.apply(self._session, 1, self._revision, scene.encode())
        self.port_a, self.port_b = (port for _, _, port in opened)
        self._engine.flush()

    def talk(self, speakers: list[Party], times: int) -> None:
        """The speakers send to leg "a", and "b" sends, in turns."""
        for _ in range(times):
            for speaker in speakers:
                speaker.send(self.port_a)
            self.b.send(self.port_b)
            time.sleep(PACE_S)


@pytest.fixture
def parties() -> Iterator[Callable[[str, int], Party]]:
    with ExitStack() as stack:

        def make(ip: str, ssrc: int) -> Party:
            party = Party(ip, ssrc)
            stack.callback(party.socket.close)
            return party

        yield make


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine("127.0.0.1", 32560, 32599, quarantine_s=0)
    yield engine
    engine.shut_down()


def behind_nat(described: int = 0) -> Transport:
    return Transport(PRIVATE, learn_from=(PRIVATE.ip, NAT), described=described)


def exact(phone: Party) -> Transport:
    address = Address(*phone.socket.getsockname())
    return Transport(address, learn_from=(address.ip,))


def attack(
    engine: Engine, phone: Party, stranger: Party, b: Party, transport: Transport, *, first: bool
) -> tuple[int, int]:
    """Packets of the stranger that were heard, and that he heard, once the phone has spoken."""
    call = Call(engine, f"{stranger.ip} {stranger.ssrc}", transport, b)
    if first:
        call.talk([stranger], SPRAYED)
    call.talk([phone], SPRAYED)
    provisional = b.heard().count(stranger.ssrc), len(stranger.heard())
    call.talk([stranger, phone], SPRAYED)
    injected = b.heard().count(stranger.ssrc)
    bled = len(stranger.heard())
    assert phone.heard(), "the phone is heard by nobody"
    print(
        f"{stranger.ip == phone.ip!s:>8} {transport.remote != PRIVATE!s:>6} {first!s:>6}"
        f" {provisional[0]:>10} {provisional[1]:>6} {injected:>9} {bled:>6}"
    )
    return injected, bled


def test_who_is_no_party_is_neither_heard_nor_hears(
    engine: Engine, parties: Callable[[str, int], Party]
) -> None:
    print("same IP  exact  first  injected    bled   injected   bled")
    print("                       until the phone     afterwards")
    ssrc = iter(range(100, 200))
    for ip in (NAT, ELSEWHERE):
        for first in (False, True):
            for is_exact in (True, False):
                if ip == NAT and first and not is_exact:
                    continue  # Who speaks first behind that NAT is the phone.
                phone, stranger = parties(NAT, next(ssrc)), parties(ip, next(ssrc))
                b = parties("127.0.0.1", next(ssrc))
                transport = exact(phone) if is_exact else behind_nat()
                result = attack(engine, phone, stranger, b, transport, first=first)
                assert result == (0, 0)


def time_until_heard(call: Call, phone: Party) -> float:
    clock = SystemClock()
    began = clock.now()
    while clock.now() < began + PATIENCE_S:
        call.talk([phone], 1)
        if phone.ssrc in call.b.heard():
            return clock.now() - began
    raise AssertionError("the phone is not heard any more")


@pytest.mark.parametrize("is_described", [True, False], ids=["re-INVITE", "alone"])
def test_a_phone_whose_nat_rebound_is_heard_again_within_two_seconds(
    engine: Engine, parties: Callable[[str, int], Party], is_described: bool
) -> None:
    phone, b = parties(NAT, 7), parties("127.0.0.1", 8)
    call = Call(engine, "s", behind_nat(), b)
    call.talk([phone], 20)
    assert phone.ssrc in b.heard()
    phone.socket.close()
    phone.bind()
    if is_described:
        call.describe(behind_nat(described=1))
    gap_s = time_until_heard(call, phone)
    print(f"heard again after {gap_s:.2f} s")
    assert gap_s <= 2.0
    phone.heard()
    call.talk([], 5)
    assert phone.heard(), "and hears"
    phone.socket.close()
