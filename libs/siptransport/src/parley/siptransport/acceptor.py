"""A listening stream socket that asks before it lets anybody in.

Connections are taken from the kernel by ourselves, not by the event loop's server, so that bounds
hold before a TLS handshake begins and a descriptor that is not wanted is given back at once.
"""

import asyncio
import socket
from collections.abc import Callable

import structlog

from parley.siptransport.transport import Peer

_logger = structlog.stdlib.get_logger(__name__)

_BACKLOG = 1024
_ACCEPTS_PER_WAKEUP = 64
_PAUSE_S = 0.1
"""After the kernel had no descriptor or memory left: time for some to be given back."""


class Acceptor:
    """Hands over each connection that comes; the taker owns it, and may close it at once.

    Args:
        address: local IP address.
        port: 0 picks one.
        take: gets the socket, non-blocking, and the peer.
        is_shared: see `ListenOptions`.

    Attributes:
        port: the real one.

    Raises:
        OSError: the address is taken or not ours.
    """

    def __init__(
        self,
        address: str,
        port: int,
        take: Callable[[socket.socket, Peer], None],
        *,
        is_shared: bool = False,
    ) -> None:
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._is_out = False
        is_ipv6 = ":" in address
        self._socket = sock = socket.socket(
            socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_STREAM
        )
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if is_ipv6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if is_shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((address, port))
            sock.listen(_BACKLOG)
        except OSError:
            sock.close()
            raise
        self.port = int(sock.getsockname()[1])
        self._loop.add_reader(sock.fileno(), self._accept)

    def close(self) -> None:
        """Takes no more; may be called twice."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_PER_WAKEUP):
            try:
                sock, address = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if not self._is_out:
                    _logger.warning("no connection accepted", port=self.port, reason=str(error))
                    self._is_out = True
                # It stays readable: without a pause we would spin until descriptors are free.
                self._loop.remove_reader(self._socket.fileno())
                self._pause = self._loop.call_later(_PAUSE_S, self._resume)
                return
            self._is_out = False
            sock.setblocking(False)
            self._take(sock, (str(address[0]), int(address[1])))

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket.fileno(), self._accept)
