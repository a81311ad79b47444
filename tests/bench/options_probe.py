"""A stranger that asks a SIP server by OPTIONS and notes how long each answer took.

The arrival of an answer is timed by the kernel, so that a busy machine on the asking side makes no
server look slow; a question during whose sending the asker itself was interrupted counts nothing.
"""

import select
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Final, Self

from parley.testkit.farm.load import percentile

_TIMESTAMPNS: Final = 35  # SO_TIMESTAMPNS of Linux, which Python does not name
_TIMESPEC: Final = struct.Struct("@qq")
_ANCILLARY_BYTES: Final = 64
_MAX_BYTES: Final = 65535
_SENDING_NS: Final = 1_000_000
_READY_POLL_S: Final = 0.1


@dataclass
class Answers:
    """What a probe has learnt.

    Attributes:
        times_ms: of each answered question, by its number.
        asked: how many questions count.
    """

    times_ms: dict[int, float] = field(default_factory=dict)
    asked: int = 0

    def percentile(self, share: float) -> float:
        """The time below which that share of the answers came; 1 is the longest."""
        return percentile(list(self.times_ms.values()), share)

    @property
    def unanswered(self) -> int:
        """Questions without an answer."""
        return self.asked - len(self.times_ms)

    def slowest(self) -> int:
        """The number of the question whose answer took longest."""
        return max(self.times_ms, key=lambda number: self.times_ms[number], default=0)


class OptionsProbe:
    """A socket of its own that asks; a context manager.

    Args:
        target: `(host, port)` of the server.

    Attributes:
        answers: filled by `collect`.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.answers = Answers()
        self._target = target
        self._sent: dict[int, int] = {}
        self._number = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
        self._socket.setblocking(False)
        self._socket.bind((target[0], 0))
        self._port = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self) -> None:
        """Sends a question."""
        message = self._question(self._number)
        before = _now_ns()
        self._socket.sendto(message, self._target)
        if _now_ns() - before < _SENDING_NS:
            self._sent[self._number] = before
            self.answers.asked += 1
        self._number += 1

    def collect(self, timeout_s: float) -> None:
        """Takes answers for that long."""
        until = time.perf_counter() + timeout_s
        while (left_s := until - time.perf_counter()) > 0:
            if select.select([self._socket], [], [], left_s)[0]:
                self._take()

    def wait_for_server(self, timeout_s: float) -> bool:
        """Asks until an answer comes; says whether one came. Nothing of it counts."""
        until = time.perf_counter() + timeout_s
        while not self.answers.times_ms and time.perf_counter() < until:
            self.ask()
            self.collect(_READY_POLL_S)
        is_there = bool(self.answers.times_ms)
        self.answers = Answers()
        self._sent.clear()
        return is_there

    def _take(self) -> None:
        try:
            data, ancillary, _, _ = self._socket.recvmsg(_MAX_BYTES, _ANCILLARY_BYTES)
        except (BlockingIOError, ConnectionRefusedError):
            return
        number = _number(data)
        began = self._sent.pop(number, None) if number is not None else None
        if number is not None and began is not None:
            self.answers.times_ms[number] = (_arrival_ns(ancillary) - began) / 1e6

    def _question(self, number: int) -> bytes:
        host, port = self._target
        branch = f"z9hG4bKprobe{self._port}.{number}"
        return (
            f"OPTIONS sip:{host}:{port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{self._port};branch={branch};rport\r\n"
            f"From: <sip:probe@{host}>;tag=probe{number}\r\n"
            f"To: <sip:{host}:{port}>\r\n"
            f"Call-ID: probe-{self._port}-{number}\r\n"
            f"CSeq: {number + 1} OPTIONS\r\n"
            "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        ).encode()


def _now_ns() -> int:
    """The clock by which the kernel stamps what arrives."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME)


def _number(response: bytes) -> int | None:
    _, found, rest = response.lower().partition(b"\r\ncseq:")
    digits = rest.split(maxsplit=1)[0] if found and rest.strip() else b""
    return int(digits) - 1 if digits.isdigit() else None


def _arrival_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack(data[: _TIMESPEC.size])
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return _now_ns()
