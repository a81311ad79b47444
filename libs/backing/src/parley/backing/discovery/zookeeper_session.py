"""One session with ZooKeeper, for asyncio: the only module that speaks to kazoo.

kazoo works in threads of its own. Requests are handed to it without waiting; results, watches and
changes of the connection come back through `call_soon_threadsafe`, in the order in which kazoo saw
them. Requests are made only while connected: kazoo's queue would otherwise grow, and its wake-up
pipe could block the loop.

kazoo sets no watches again after a reconnection, so listeners read what they follow again whenever
`connected` is called.
"""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import structlog
from kazoo.client import KazooClient  # type: ignore[import-untyped]
from kazoo.exceptions import (  # type: ignore[import-untyped]
    BadVersionError,
    NodeExistsError,
    NoNodeError,
)
from kazoo.handlers.threading import SequentialThreadingHandler  # type: ignore[import-untyped]
from kazoo.protocol.states import KazooState, KeeperState  # type: ignore[import-untyped]
from kazoo.security import CREATOR_ALL_ACL  # type: ignore[import-untyped]

from parley.backing.discovery.zookeeper_url import ZookeeperUrl
from parley.backing.errors import BackingError, BackingUnavailable
from parley.service.tasks import TaskOwner
from parley.service.tls import TlsFiles, client_context

_RETRY = {"max_tries": -1, "delay": 0.1, "backoff": 1.6, "max_delay": 1.0, "max_jitter": 0.4}
_REOPEN_PAUSE_S = 0.3
_CLOSE_TIMEOUT_S = 10.0

_logger = structlog.stdlib.get_logger(__name__)
# kazoo warns at every attempt to connect; the session tells of an outage once.
_kazoo_logger = logging.getLogger("parley.kazoo")
_kazoo_logger.setLevel(logging.ERROR)


class NodeExists(BackingError):
    """The path is taken."""


class NodeChanged(BackingError):
    """The node is another one, or another version, than was read before."""


class Node(NamedTuple):
    """A node as it was read.

    Attributes:
        session: the session that it ends with; 0 for one that stays.
    """

    data: bytes
    version: int
    session: int


class SessionListener(Protocol):
    """Who has to know how the session fares; called in the loop."""

    def connected(self) -> None:
        """Requests can be made; every watch has to be set again."""
        ...

    def suspended(self) -> None:
        """The connection broke; the session may live on."""
        ...

    def lost(self) -> None:
        """The session ended, and with it its nodes."""
        ...


class ZookeeperSession:
    """Requests with time-outs, and news of the connection.

    Args:
        url: the ensemble.
        session_s: after how many silent seconds the ensemble ends the session.
        tls: files for a URL with TLS.

    Raises:
        StartError: the files cannot be used.
    """

    def __init__(
        self,
        url: ZookeeperUrl,
        session_s: float,
        tls: TlsFiles,
    ) -> None:
        self.session_s = session_s
        self.id = 0
        self._url = url
        self._tls = client_context(tls) if url.is_tls else None
        self._listeners: list[SessionListener] = []
        self._connected = asyncio.Event()
        self._tasks = TaskOwner()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Any = None

    @property
    def is_connected(self) -> bool:
        """Says whether requests can be made."""
        return self._connected.is_set()

    def add_listener(self, listener: SessionListener) -> None:
        """Tells the listener of every change from now on."""
        self._listeners.append(listener)

    def remove_listener(self, listener: SessionListener) -> None:
        """Tells it nothing any more."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def start(self) -> None:
        """Begins to connect, for as long as it takes."""
        self._loop = asyncio.get_running_loop()
        self._open()

    async def wait_connected(self) -> None:
        """Returns when requests can be made."""
        await self._connected.wait()

    async def aclose(self) -> None:
        """Ends the session and its threads; a frozen ensemble delays it, with a bound."""
        client, self._client = self._client, None
        self._connected.clear()
        self.id = 0
        await self._tasks.aclose()
        if client is not None:
            await self._end(client)

    # --- requests --------------------------------------------------------------------------

    async def create(self, path: str, data: bytes, *, ephemeral: bool = False) -> None:
        """Makes a node, and the folder that it lies in.

        Raises:
            NodeExists: the path is taken.
            BackingUnavailable: it may or may not have been made.
        """

        def submit(client: Any) -> Any:
            return client.create_async(path, data, ephemeral=ephemeral)

        try:
            await self._request(submit)
        except _NoNode:
            await self.ensure_folder(path.rpartition("/")[0])
            await self._request(submit)

    async def ensure_folder(self, path: str) -> None:
        """Makes a node that stays, and those above it, unless they are there."""
        await self._request(lambda client: client.ensure_path_async(path))

    async def get(self, path: str, watch: "Watcher | None" = None) -> Node | None:
        """Reads a node, or None; watches it if it is there."""
        try:
            data, stat = await self._request(lambda client: client.get_async(path, watch))
        except _NoNode:
            return None
        return Node(bytes(data or b""), stat.version, stat.ephemeralOwner)

    async def children(self, path: str, watch: "Watcher | None" = None) -> list[str]:
        """Lists the names in a folder, which is made when it is missing."""
        try:
            return list(await self._request(lambda client: client.get_children_async(path, watch)))
        except _NoNode:
            await self.ensure_folder(path)
            return list(await self._request(lambda client: client.get_children_async(path, watch)))

    async def set(self, path: str, data: bytes, version: int) -> None:
        """Writes a node. Raises `NodeChanged` unless it is there with this version."""
        try:
            await self._request(lambda client: client.set_async(path, data, version))
        except _NoNode as error:
            raise NodeChanged(path) from error

    async def delete(self, path: str, version: int) -> None:
        """Removes a node if it is there. Raises `NodeChanged` on another version."""
        try:
            await self._request(lambda client: client.delete_async(path, version))
        except _NoNode:
            return

    async def replace(self, path: str, data: bytes, version: int) -> None:
        """Puts a node of this session in the place of another's, in one step."""

        def submit(client: Any) -> Any:
            transaction = client.transaction()
            transaction.delete(path, version)
            transaction.create(path, data, ephemeral=True)
            return transaction.commit_async()

        results = await self._request(submit)
        if any(isinstance(result, Exception) for result in results):
            raise NodeChanged(path)

    def watcher(self, callback: Callable[[], None]) -> "Watcher":
        """Wraps a callback, to be called in the loop, for `get` and `children`."""
        return Watcher(self, callback)

    async def _request(self, submit: Callable[[Any], Any]) -> Any:
        loop, client = self._loop, self._client
        if loop is None or client is None or not self.is_connected:
            raise BackingUnavailable("discovery is away")
        future: asyncio.Future[Any] = loop.create_future()
        submit(client).rawlink(lambda result: self.call_in_loop(partial(_resolve, future, result)))
        try:
            # kazoo ends all requests when the connection breaks, which takes no longer than this.
            async with asyncio.timeout(self.session_s):
                return await future
        except TimeoutError as error:
            raise BackingUnavailable("discovery did not answer in time") from error
        except NodeExistsError as error:
            raise NodeExists(str(error)) from error
        except BadVersionError as error:
            raise NodeChanged(str(error)) from error
        except NoNodeError as error:
            raise _NoNode(str(error)) from error
        except Exception as error:
            # kazoo's own errors, and whatever it stumbled over in an answer.
            raise BackingUnavailable(f"discovery failed: {error!r}") from error

    # --- the connection --------------------------------------------------------------------

    def call_in_loop(self, callback: Callable[[], None]) -> None:
        """Calls back in the loop, from any thread; nothing happens once the loop is gone."""
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(callback)
        except RuntimeError:
            return

    def _open(self) -> None:
        client = KazooClient(
            hosts=self._url.hosts,
            timeout=self.session_s,
            connection_retry=dict(_RETRY),
            command_retry=dict(_RETRY),
            logger=_kazoo_logger,
            auth_data=[("digest", self._url.credentials)] if self._url.credentials else None,
            default_acl=CREATOR_ALL_ACL if self._url.credentials else None,
            handler=None if self._tls is None else _TlsThreads(self._tls),
        )
        client.add_listener(partial(self._heard, client))
        self._client = client
        client.start_async()

    def _heard(self, client: Any, state: str) -> None:
        """Runs in kazoo's thread, which is why everything is read here."""
        identity = client.client_id
        is_over = state == KazooState.LOST and client.client_state != KeeperState.EXPIRED_SESSION
        session = 0 if identity is None else int(identity[0])
        self.call_in_loop(partial(self._changed, client, state, session, is_over))

    def _changed(self, client: Any, state: str, session: int, is_over: bool) -> None:
        if client is not self._client:
            return
        if state == KazooState.CONNECTED:
            _logger.info("discovery connected", session=f"{session:x}")
            self.id = session
            self._connected.set()
            self._tell(lambda listener: listener.connected())
            return
        self._connected.clear()
        if state == KazooState.SUSPENDED:
            _logger.warning("discovery away; the last view stays")
            self._tell(lambda listener: listener.suspended())
            return
        _logger.warning("discovery session lost")
        self.id = 0
        self._tell(lambda listener: listener.lost())
        if is_over:
            # kazoo gave up (refused credentials, or an answer that it could not understand).
            self._tasks.spawn(self._reopen(client), name="reopen discovery")

    def _tell(self, tell: Callable[[SessionListener], None]) -> None:
        for listener in self._listeners.copy():
            tell(listener)

    async def _reopen(self, client: Any) -> None:
        await asyncio.sleep(_REOPEN_PAUSE_S)
        await self._end(client)
        if client is self._client:
            self._open()

    async def _end(self, client: Any) -> None:
        """Stops a client in a thread: kazoo waits for its own."""
        ended = asyncio.Event()
        thread = threading.Thread(
            target=self._stop, args=(client, ended), name="discovery end", daemon=True
        )
        thread.start()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await ended.wait()
        except TimeoutError:
            _logger.warning("discovery session not ended in time")

    def _stop(self, client: Any, ended: asyncio.Event) -> None:
        try:
            client.stop()
            client.close()
        except Exception as error:  # noqa: BLE001 - it is thrown away in any case
            _logger.warning("discovery session not ended in order", reason=repr(error))
        finally:
            self.call_in_loop(ended.set)


class Watcher:
    """A callback in kazoo's form. One object per thing that is watched: kazoo keeps a set."""

    __slots__ = ("_callback", "_session")

    def __init__(self, session: ZookeeperSession, callback: Callable[[], None]) -> None:
        self._session = session
        self._callback = callback

    def __call__(self, _event: object) -> None:
        """Runs in kazoo's thread."""
        self._session.call_in_loop(self._callback)


class _TlsThreads(SequentialThreadingHandler):  # type: ignore[misc]
    """kazoo's threads, whose connections are TLS by our files alone.

    kazoo's own TLS believes the system's authorities too, and cannot connect while half a pair is
    being replaced.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__()
        self._tls = tls

    def create_connection(
        self, address: tuple[str, int], hostname: str, timeout: float, **_: object
    ) -> ssl.SSLSocket:
        """Connects and shakes hands; the certificate must have the name that was dialled."""
        with socket.create_connection(address, timeout) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return self._tls.wrap_socket(plain, server_hostname=hostname)


class _NoNode(BackingError):
    """There is no such node."""


def _resolve(future: asyncio.Future[Any], result: Any) -> None:
    if future.done():
        return
    try:
        future.set_result(result.get_nowait())
    except Exception as error:  # noqa: BLE001 - whoever asked raises it
        future.set_exception(error)
