"""Somebody who sends bytes to the edge and tells what comes back at the address he sent from."""

import re
import secrets
import socket
from typing import Final

CLOSED: Final = 0
"""The edge has closed the connection; stands where a status would."""

_PATIENCE_S: Final = 5.0
_MAX_BYTES: Final = 65_535
_ANSWER: Final = re.compile(rb"SIP/2\.0 (\d{3}) .*?\r\n\r\n", re.DOTALL)
_PROBE: Final = "torture-probe"


class Peer:
    """A socket of one transport.

    Attributes:
        host: its address.
        answers: the answers so far, the one to a probe left out.
    """

    def __init__(self, transport: str, host: str, port: int, server: str) -> None:
        """Args:
        transport: "udp" or "tcp".
        host: own address.
        port: own port, by UDP: an answer goes to the one that the Via names.
        server: `host:port` of the edge.
        """
        self.host = host
        self.answers: list[bytes] = []
        self._transport = transport
        self._buffer = b""
        server_host, _, server_port = server.rpartition(":")
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.bind((host, port if transport == "udp" else 0))
        self._socket.settimeout(_PATIENCE_S)
        self._socket.connect((server_host, int(server_port)))

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def hear(self, count: int) -> list[int]:
        """Waits for so many answers; `CLOSED` counts as one."""
        return [self._next() for _ in range(count)]

    def probe(self) -> list[int]:
        """Asks for a sign of life, which must come; returns the statuses that came before it."""
        address = ":".join(map(str, self._socket.getsockname()))
        token = f"{_PROBE}-{secrets.token_hex(8)}"
        self.send(
            (
                "OPTIONS sip:demo.localhost SIP/2.0\r\n"
                f"Via: SIP/2.0/{self._transport.upper()} {address};branch=z9hG4bK{token};rport\r\n"
                f"From: <sip:probe@demo.localhost>;tag={token}\r\nTo: <sip:demo.localhost>\r\n"
                f"Call-ID: {token}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            ).encode()
        )
        before: list[int] = []
        while True:
            status = self._next()
            if status == CLOSED or token.encode() in self.answers[-1]:
                assert status == 200, "the edge does not answer any more"
                self.answers.pop()
                return before
            before.append(status)

    def has_more(self) -> bool:
        """Says whether something has come in that nobody has heard yet."""
        self._socket.setblocking(False)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        finally:
            self._socket.settimeout(_PATIENCE_S)
        return True

    def unheard(self) -> bytes:
        """What has come in that nobody has heard yet."""
        self._socket.setblocking(False)
        try:
            return self._buffer + self._socket.recv(_MAX_BYTES)
        except (BlockingIOError, ConnectionResetError):
            return self._buffer

    def _next(self) -> int:
        while (match := _ANSWER.match(self._buffer)) is None:
            try:
                data = self._socket.recv(_MAX_BYTES)
            except ConnectionResetError:
                data = b""  # there was more that the edge had not read
            if not data:
                return CLOSED
            self._buffer = data if self._transport == "udp" else self._buffer + data
        self.answers.append(match[0])
        self._buffer = self._buffer[match.end() :]
        return int(match[1])
