"""RTP of many phones: one packet per stream every 20 ms, and the gaps that the other side sees.

Every packet carries its number and the moment it was sent. A gap is the time between the sending of
two packets that arrived one after the other when others between them were lost. A sender that a
busy test machine kept from sending has lost nothing.
"""

import asyncio
import socket
import struct
import time
from typing import Final

from parley.service.tasks import TaskOwner

PACKET_S: Final = 0.02
_HEADER: Final = struct.Struct("!BBHII")
_STAMP: Final = struct.Struct("!Id")
_PCMA: Final = 8
_SAMPLES: Final = 160
_FILL: Final = b"\xd5" * (_SAMPLES - _STAMP.size)


class Stream:
    """One phone's audio: a socket that sends to where it is told and hears everybody.

    Attributes:
        port: where it receives.
        target: `(host, port)` to send to; None sends nothing.
        received: packets that came in.
        worst_gap_s: longest time in which packets were sent and none arrived, in the sender's time.
        last_heard: monotonic seconds of the last arrival; 0 before the first.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((host, 0))
        self.port: int = self._socket.getsockname()[1]
        self.target: tuple[str, int] | None = None
        self.received = 0
        self.worst_gap_s = 0.0
        self.last_heard = 0.0
        self._last: tuple[int, float] | None = None
        self._sequence = 0
        self._ssrc = id(self) & 0xFFFF_FFFF
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def forget_gaps(self) -> None:
        """Begins to measure anew."""
        self.worst_gap_s = 0.0

    def send(self) -> None:
        """Sends the next packet."""
        if self.target is None:
            return
        self._sequence += 1
        head = _HEADER.pack(
            0x80,
            _PCMA,
            self._sequence & 0xFFFF,
            self._sequence * _SAMPLES & 0xFFFF_FFFF,
            self._ssrc,
        )
        try:
            stamp = _STAMP.pack(self._sequence, time.perf_counter())
            self._socket.sendto(head + stamp + _FILL, self.target)
        except OSError:
            return  # The relay's port is gone: that is what is measured.

    def close(self) -> None:
        """Releases the socket."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        while True:
            try:
                data = self._socket.recv(2048)
            except BlockingIOError:
                return
            except OSError:
                continue  # An ICMP error of a port that is gone.
            if len(data) != _HEADER.size + _SAMPLES:
                continue
            number, stamp = _STAMP.unpack_from(data, _HEADER.size)
            self.received += 1
            self.last_heard = time.perf_counter()
            if self._last is not None and number > self._last[0] + 1:
                self.worst_gap_s = max(self.worst_gap_s, stamp - self._last[1])
            if self._last is None or number > self._last[0]:
                self._last = number, stamp


class MediaClock:
    """Lets all streams send, every 20 ms."""

    def __init__(self, tasks: TaskOwner) -> None:
        self._streams: set[Stream] = set()
        tasks.spawn(self._run(), name="media clock of the farm")

    def add(self, stream: Stream) -> None:
        """A stream begins to send."""
        self._streams.add(stream)

    def remove(self, stream: Stream) -> None:
        """A stream ends and is closed."""
        if stream in self._streams:
            self._streams.discard(stream)
            stream.close()

    async def _run(self) -> None:
        due = time.perf_counter()
        while True:
            for stream in self._streams:
                stream.send()
            # A late turn does not send what it missed: a phone does not either.
            due = max(due + PACKET_S, time.perf_counter())
            await asyncio.sleep(due - time.perf_counter())
