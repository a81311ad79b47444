"""Everything that passes over loopback, as an eavesdropper sees it (root alone may)."""

import os
import socket
import struct
import threading
from collections.abc import Iterator
from typing import NamedTuple, Self

from tests.absence import give_up

_ALL_PROTOCOLS = 0x0003
_PACKET_BYTES = 65_600
_BUFFER_BYTES = 64 * 1024 * 1024
_RECEIVE_BUFFER_FORCED = 33  # SO_RCVBUFFORCE, which the module does not name
_ETHERNET_BYTES = 14
_TCP, _UDP = 6, 17
_POLL_S = 0.1


class Packet(NamedTuple):
    """One segment or datagram."""

    ports: tuple[int, int]
    payload: bytes


class Capture:
    """A context manager that listens while it is entered.

    Attributes:
        packets: what was heard, in order; empty segments are left out.
    """

    def __init__(self) -> None:
        if os.geteuid():
            give_up("capturing loopback needs root")
        self.packets: list[Packet] = []
        self._socket = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS)
        )
        self._socket.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCED, _BUFFER_BYTES)
        self._socket.bind(("lo", 0))
        self._socket.settimeout(_POLL_S)
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="capture")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._has_ended.set()
        self._thread.join()
        self._socket.close()

    def at(self, port: int) -> Iterator[bytes]:
        """What was sent to and from a port."""
        return (each.payload for each in tuple(self.packets) if port in each.ports)

    def holding(self, text: bytes) -> Iterator[Packet]:
        """Packets that hold a text."""
        return (each for each in self.packets if text in each.payload)

    def _listen(self) -> None:
        while not self._has_ended.is_set():
            try:
                data, (_, _, direction, *_) = self._socket.recvfrom(_PACKET_BYTES)
            except TimeoutError:
                continue
            # Loopback shows each packet going out and coming in.
            if direction != socket.PACKET_OUTGOING:
                packet = _parsed(data[_ETHERNET_BYTES:])
                if packet is not None and packet.payload:
                    self.packets.append(packet)


def _parsed(data: bytes) -> Packet | None:
    if not data or data[0] >> 4 != 4:
        return None
    size, protocol = struct.unpack_from(">H", data, 2)[0], data[9]
    rest = data[(data[0] & 15) * 4 : size]
    if protocol == _UDP:
        return Packet(_ports(rest), rest[8:])
    if protocol == _TCP:
        return Packet(_ports(rest), rest[(rest[12] >> 4) * 4 :])
    return None


def _ports(data: bytes) -> tuple[int, int]:
    first, second = struct.unpack_from(">HH", data)
    return first, second
