"""10,000 mutated messages at a running platform, then a real call (the PROTOS method).

Samples are valid: requests of all methods, with and without credentials, out of and within a
dialog, and answers to what the platform asked. Credentials are renewed all the time, or nothing
would get past the nonce.
"""

import asyncio
import re
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from parley.sip.dialog import Dialog
from parley.sip.message import Request, response_to
from parley.testkit.mutations import Mutator
from parley.testkit.phones.raw_phone import RawPhone
from parley.testkit.platform.desk import Desk, ending
from parley.testkit.platform.running import Platform, bad_lines

DATAGRAMS = 8_500
STREAMED = 1_500
GARBAGE = 300
BATCH = 50
ALIVE_EVERY = 50
_CLOSING_S = 3.0
_PUBLISHED_S = 15.0
_POLL_S = 0.05
_COUNTED = re.compile(r"^parley_edgeproxy_sip_(?:received|malformed)_total (\S+)$", re.MULTILINE)
MAX_GROWTH_BYTES = 60 * 1024 * 1024
METHODS = (
    *("REGISTER", "INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "UPDATE", "PRACK"),
    *("MESSAGE", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER"),
)
STATUSES = (100, 180, 183, 200, 202, 302, 401, 404, 407, 481, 486, 487, 503, 603)
CALLEES = ("1004", "999", "5555")

MakePhone = Callable[..., RawPhone]


class Samples:
    """Valid messages of a phone that has an account, a registration and a call."""

    def __init__(self, phone: RawPhone, dialog: Dialog, offered: Request, seed: int) -> None:
        self._phone = phone
        self._dialog = dialog
        self._random = Mutator(seed).random
        self._answers = [
            bytes(response_to(offered, status, to_tag="answer")) for status in STATUSES
        ]

    def one(self) -> bytes:
        """Any of them, fresh."""
        make = self._random.choices(
            (self._request, self._authorized, self._in_dialog, self._answer), (3, 4, 2, 1)
        )[0]
        return make()

    def many(self, count: int) -> list[bytes]:
        return [self.one() for _ in range(count)]

    def _request(self) -> bytes:
        return bytes(self._new(self._random.choice(METHODS)))

    def _authorized(self) -> bytes:
        request = self._new(self._random.choice(("REGISTER", "INVITE", "INVITE", "MESSAGE")))
        name = "authorization" if request.method == "REGISTER" else "proxy-authorization"
        self._phone.authorize(request, name)
        return bytes(request)

    def _in_dialog(self) -> bytes:
        method = self._random.choice(METHODS[4:] + ("INVITE",))
        request = self._dialog.new_request(method)
        if method in ("INVITE", "UPDATE"):
            request.add("content-type", "application/sdp")
            request.body = self._phone.description()
        return bytes(self._phone.in_dialog(request))

    def _answer(self) -> bytes:
        return self._random.choice(self._answers)

    def _new(self, method: str) -> Request:
        phone = self._phone
        if method == "REGISTER":
            return phone.request(method)
        callee = self._random.choice(CALLEES)
        return phone.request(method, callee, phone.description() if method == "INVITE" else b"")


@pytest.fixture
def samples(make_phone: MakePhone) -> Samples:
    caller, callee = make_phone("1003"), make_phone("1004")
    callee.register()
    mine, theirs = caller.call(callee)
    caller.send(caller.in_dialog(mine.new_request("INFO")))
    return Samples(caller, mine, callee.expect("INFO"), seed=20_04)


@pytest.fixture
def growth(process: psutil.Process, stranger: RawPhone) -> Iterator[Callable[[], int]]:
    """Bytes by which the platform's memory has grown."""
    before = process.memory_info().rss
    yield lambda: process.memory_info().rss - before


def assert_quiet(log: Path) -> None:
    bad = bad_lines(log.read_text("utf-8", "replace").splitlines())
    assert not bad, f"{len(bad)} bad lines, the first: {bad[:3]}"


def messages_in(process: psutil.Process) -> int:
    """How many messages and malformed inputs the platform's nodes have counted."""
    port = process.environ()["PARLEY_HEALTH_PORT"]
    text = httpx2.get(f"http://127.0.0.1:{port}/metrics", timeout=5.0).text
    return sum(int(float(value)) for value in _COUNTED.findall(text))


def assert_heard(process: psutil.Process, count: int) -> None:
    """The platform has counted that many; it publishes now and then."""
    until = time.perf_counter() + _PUBLISHED_S
    while (heard := messages_in(process)) < count:
        assert time.perf_counter() < until, f"only {heard} of {count} messages arrived"
        time.sleep(_POLL_S)


def assert_no_connections(process: psutil.Process) -> None:
    """Whatever was closed on one side is, within a moment, closed on the other."""
    until = time.perf_counter() + _CLOSING_S
    while left := [each for each in process.net_connections("tcp") if each.raddr]:
        assert time.perf_counter() < until, f"{len(left)} connections are still open: {left[:3]}"
        time.sleep(_POLL_S)


@pytest.mark.timeout(90)
def test_mutated_datagrams_harm_nothing(
    samples: Samples,
    stranger: RawPhone,
    make_phone: MakePhone,
    process: psutil.Process,
    log: Path,
    growth: Callable[[], int],
) -> None:
    mutator = Mutator(3261)
    before = messages_in(process)
    sender = make_phone("1003")
    others = samples.many(60)
    for number in range(DATAGRAMS):
        sender.send(mutator.mutate(samples.one(), others))
        if number % BATCH == 0:
            assert all(sender.overheard())
        if number % ALIVE_EVERY == 0:
            assert stranger.is_alive()
    for _ in range(GARBAGE):
        sender.send(mutator.garbage())
    assert stranger.is_alive()
    assert_heard(process, before + DATAGRAMS * 9 // 10)
    assert_quiet(log)
    assert growth() < MAX_GROWTH_BYTES


@pytest.mark.timeout(60)
def test_mutated_streams_harm_nothing(
    platform: Platform,
    samples: Samples,
    stranger: RawPhone,
    process: psutil.Process,
    log: Path,
    growth: Callable[[], int],
) -> None:
    mutator = Mutator(5626)
    address = _address(platform.demo.sip)
    sent = 0
    while sent < STREAMED:
        count = mutator.random.randint(1, 12)
        data = b"".join(mutator.mutate(samples.one()) for _ in range(count))
        with socket.create_connection(address, timeout=5.0) as connection:
            _feed(connection, data, mutator)
        sent += count
        if sent % ALIVE_EVERY < count:
            assert stranger.is_alive()
    assert stranger.is_alive()
    assert_quiet(log)
    assert growth() < MAX_GROWTH_BYTES
    assert_no_connections(process)


def _feed(connection: socket.socket, data: bytes, mutator: Mutator) -> None:
    """Sends in pieces and closes: in order, by a reset, or after whatever is answered."""
    try:
        at = mutator.random.randrange(len(data) + 1)
        connection.sendall(data[:at])
        connection.sendall(data[at:])
        match mutator.random.randrange(4):
            case 0:
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            case 1:
                connection.shutdown(socket.SHUT_WR)
            case 2:
                connection.settimeout(0.02)
                answer = connection.recv(65_535)
                assert (
                    not answer or answer.startswith((b"SIP/2.0 ", b"\r\n")) or b" SIP/2.0" in answer
                )
            case _:
                pass
    except OSError:
        return  # the platform may hang up on what is no SIP


STREAM_CASES = {
    "endless header": b"OPTIONS sip:a SIP/2.0\r\nX: " + b"a" * 200_000,
    "endless line": b"a" * 300_000,
    "endless headers": b"OPTIONS sip:a SIP/2.0\r\n" + b"X: y\r\n" * 40_000,
    "huge length": b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 4294967295\r\n\r\n",
    "negative length": b"OPTIONS sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n",
    "no length": b"OPTIONS sip:a SIP/2.0\r\n\r\n",
    "keep-alives": b"\r\n\r\n" * 20_000,
    "zeros": b"\0" * 100_000,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x55" * 600,
    "HTTP": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("port", ["sip", "sip_tls"])
@pytest.mark.parametrize("case", STREAM_CASES)
def test_streams_of_nonsense_are_cut_off(
    platform: Platform, stranger: RawPhone, log: Path, case: str, port: str
) -> None:
    address = _address(getattr(platform.demo, port))
    with socket.create_connection(address, timeout=5.0) as connection:
        try:
            connection.sendall(STREAM_CASES[case])
            connection.settimeout(0.1)
            while connection.recv(65_535):
                pass
        except (TimeoutError, ConnectionError):
            pass
    assert stranger.is_alive()
    assert_quiet(log)


def test_mutations_inside_tls_harm_nothing(
    platform: Platform, samples: Samples, stranger: RawPhone, log: Path
) -> None:
    mutator = Mutator(8446)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for _ in range(20):
        plain = socket.create_connection(_address(platform.demo.sip_tls), timeout=5.0)
        with plain, context.wrap_socket(plain) as connection:
            _feed(connection, mutator.mutate(samples.one()), mutator)
    assert stranger.is_alive()
    assert_quiet(log)


async def test_afterwards_a_real_call_works(desk: Desk, scenarios: Path, log: Path) -> None:
    a_line, b_line = desk.platform.demo.lines[6:8]
    caller, callee = desk.sipp(a_line), desk.sipp(b_line)
    await callee.run(scenarios / "register.xml")
    with callee.start(scenarios / "answer.xml", RING_MS="100") as answering:
        await caller.run(scenarios / "call.xml", b_line.number, TALK_MS="300")
        await answering.finished()
    assert ending(await desk.cdr(a_line)) == ("answered", 200, "caller")
    await asyncio.to_thread(assert_quiet, log)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)
