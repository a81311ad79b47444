"""A gate in front of a TCP server: what a network does to one client, by command."""

import asyncio
import contextlib

HOST = "127.0.0.1"
_CHUNK_BYTES = 64 * 1024


class TcpGate:
    """Passes connections on to a server on loopback until it is cut.

    Args:
        port: the server's.
    """

    def __init__(self, port: int) -> None:
        self.port = 0
        self._target = port
        self._server: asyncio.Server | None = None
        self._is_open = True
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self) -> None:
        """Listens on a free `port`."""
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def aclose(self) -> None:
        """Ends all connections and stops listening."""
        if self._server is not None:
            self._server.close()
        # What was accepted a moment ago becomes a task of ours first.
        await asyncio.sleep(0)
        await self.cut()
        if self._server is not None:
            await self._server.wait_closed()

    async def cut(self) -> None:
        """Ends all connections; new ones are ended at once."""
        self._is_open = False
        for task in list(self._clients):
            task.cancel()
        if self._clients:
            await asyncio.wait(list(self._clients))

    def heal(self) -> None:
        """Takes connections again."""
        self._is_open = True

    def inject(self, data: bytes) -> None:
        """Sends every client bytes that are not the server's."""
        for writer in self._clients.values():
            writer.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # the streams make one for each connection
        self._clients[task] = writer
        upstream: asyncio.StreamWriter | None = None
        try:
            if not self._is_open:
                return
            answers, upstream = await asyncio.open_connection(HOST, self._target)
            pumps = {
                asyncio.ensure_future(_pump(reader, upstream)),
                asyncio.ensure_future(_pump(answers, writer)),
            }
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # one of the three parties went: the connection is over
        finally:
            ends = [each for each in (writer, upstream) if each is not None]
            for each in ends:
                each.transport.abort()
            try:
                for each in ends:
                    with contextlib.suppress(OSError):
                        await each.wait_closed()
            finally:
                del self._clients[task]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
