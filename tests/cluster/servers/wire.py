"""Blocking connections for the servers' proofs of work: a few bytes out, a few bytes in."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.servers.base import HOST, Unready

from parley.service.tls import TlsFiles, client_context

_TIMEOUT_S = 2.0
_MAX_BYTES = 1 << 20


@contextmanager
def connection(
    port: int, timeout_s: float = _TIMEOUT_S, tls: TlsFiles | None = None
) -> Iterator[socket.socket]:
    """Opens a connection whose every step is bounded; with `tls` as one who has these files."""
    with socket.create_connection((HOST, port), timeout_s) as plain:
        plain.settimeout(timeout_s)
        if tls is None:
            yield plain
            return
        with secured(plain, tls) as opened:
            yield opened


def secured(plain: socket.socket, tls: TlsFiles) -> socket.socket:
    """Begins TLS on a connection."""
    return client_context(tls).wrap_socket(plain, server_hostname=HOST)


def read_exactly(opened: socket.socket, size: int) -> bytes:
    """Reads that many bytes.

    Raises:
        Unready: the peer closed before.
    """
    parts = bytearray()
    while len(parts) < size:
        part = opened.recv(size - len(parts))
        if not part:
            raise Unready("the connection was closed")
        parts += part
    return bytes(parts)


def exchange(opened: socket.socket, payload: bytes) -> bytes:
    """Sends a frame with its length (4 bytes) before it and reads one."""
    opened.sendall(struct.pack(">i", len(payload)) + payload)
    (size,) = struct.unpack(">i", read_exactly(opened, 4))
    if not 0 <= size <= _MAX_BYTES:
        raise Unready(f"an answer of {size} bytes")
    return read_exactly(opened, size)
