"""HTTP servers inside our own event loop: ASGI applications run by uvicorn.

uvicorn is built to own its process: it takes the signals, exits on failure and polls. `HttpServer`
takes that away, so that REST, WSI and health are services like any other: started in order, drained
and closed by `parley.service.lifecycle`. What unknown clients may cost is bounded in
`http_connections`.
"""

import asyncio
import errno
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn

from parley.service.errors import PortInUse, StartError
from parley.service.http_connections import HttpLimits, LimitedConfig
from parley.service.tasks import TaskOwner

_TICK_S = 1.0  # how often uvicorn renews its Date header
_BACKLOG = 1024
_START_TIMEOUT_S = 30.0
_CLOSE_S = 5.0


class _EmbeddedServer(uvicorn.Server):
    """uvicorn without signals, without `sys.exit` and without its ten wake-ups a second."""

    config: LimitedConfig

    def __init__(self, config: LimitedConfig) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()
        self._is_stopping = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            try:
                await asyncio.wait_for(self._is_stopping.wait(), _TICK_S)
            except TimeoutError:
                continue

    def stop(self, within_s: float) -> None:
        self.config.timeout_graceful_shutdown = max(1, round(within_s))
        self.should_exit = True
        self._is_stopping.set()


class HttpServer:
    """One ASGI application on one port.

    Attributes:
        port: the port that is listened on; known after `start` when 0 was asked for.
    """

    def __init__(
        self,
        app: Any,
        host: str,
        port: int,
        *,
        name: str,
        limits: HttpLimits | None = None,
        lame_duck_s: float = 0.0,
    ) -> None:
        """Listens nowhere yet.

        Args:
            app: the ASGI application.
            host: IP address of the listener.
            port: 0 picks a free one.
            name: of the service, and of the server in errors.
            limits: what unknown clients may cost.
            lame_duck_s: how long a drain goes on serving, unready, until all have heard of it.
        """
        self.name = name
        self.host = host
        self.port = port
        self._app = app
        self._limits = limits or HttpLimits()
        self._lame_duck_s = lame_duck_s
        self._is_leaving = False
        self._tasks = TaskOwner()
        self._server: _EmbeddedServer | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listens; returns when requests are served.

        Raises:
            PortInUse: someone else listens there.
            StartError: the address is not ours, or the server ended at once.
        """
        listener = listen_tcp(self.host, self.port, what=self.name)
        self.port = listener.getsockname()[1]
        config = LimitedConfig(
            self._app,
            self._limits,
            log_config=None,
            # Applications start and end with the services that own them.
            lifespan="off",
            access_log=False,
            server_header=False,
            backlog=_BACKLOG,
        )
        self._is_leaving = False
        self._tasks = TaskOwner()
        self._server = _EmbeddedServer(config)
        self._serving = self._tasks.spawn(self._server.serve([listener]), name=f"http {self.name}")
        try:
            await self._wait_until_up(self._server, self._serving)
        except BaseException:
            await self._tasks.aclose()
            listener.close()
            raise

    def is_ready(self) -> bool:
        """Says whether requests are served, and will be."""
        return (
            not self._is_leaving
            and self._server is not None
            and self._server.is_up.is_set()
            and not self._server.should_exit
            and self._serving is not None
            and not self._serving.done()
        )

    @property
    def connections(self) -> int:
        """How many HTTP connections are open."""
        return 0 if self._server is None else len(self._server.config.open_connections)

    async def drain(self, timeout_s: float) -> None:
        """Serves on for the lame duck's time, then takes no new connections and lets requests end.

        All of it takes at most `timeout_s`.
        """
        if self._server is None or self._serving is None:
            return
        self._is_leaving = True
        waited_s = min(self._lame_duck_s, timeout_s)
        await asyncio.wait([self._serving], timeout=waited_s)
        self._server.stop(timeout_s - waited_s)
        await asyncio.wait([self._serving], timeout=timeout_s - waited_s)

    async def aclose(self) -> None:
        """Ends every connection and frees the port."""
        if self._server is not None and self._serving is not None:
            self._server.force_exit = True
            self._server.stop(_CLOSE_S)
            await asyncio.wait([self._serving], timeout=_CLOSE_S)
        await self._tasks.aclose()
        self._server = None
        self._serving = None

    async def _wait_until_up(self, server: _EmbeddedServer, serving: asyncio.Task[None]) -> None:
        up = self._tasks.spawn(_wait(server.is_up), name=f"http {self.name} up")
        async with asyncio.timeout(_START_TIMEOUT_S):
            await asyncio.wait([up, serving], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            up.cancel()
            await serving
            raise StartError(f"{self.name} failed in its start-up; the log says why.")


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def listen_tcp(host: str, port: int, *, what: str) -> socket.socket:
    """Opens a listening TCP socket.

    Args:
        host: IP address, version 4 or 6.
        port: 0 picks a free one.
        what: names the listener in the error, `The REST API` for one.

    Raises:
        PortInUse: someone else listens there.
        StartError: the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port, what) from error
        reason = error.strerror or str(error)
        raise StartError(f"{what} cannot listen on {host}:{port}: {reason}.") from error
    listener.setblocking(False)
    return listener
