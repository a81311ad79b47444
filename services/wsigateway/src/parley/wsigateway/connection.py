"""One client: authenticates, subscribes, and is sent events in the order of the bus.

Replies and events leave through one bounded queue. A client that does not read until the queue is
full is closed with 1013 (try again later): it has missed events and had better know. A token that
is revoked or expires closes the connection at its next check.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from enum import IntEnum
from functools import partial
from typing import Protocol

import structlog
from msgspec import DecodeError
from starlette.websockets import WebSocket, WebSocketDisconnect

from parley.backing.db.tokens import ApiToken
from parley.backing.errors import BackingUnavailable
from parley.model.errors import DomainError
from parley.service.clock import Clock
from parley.service.tasks import TaskOwner
from parley.wsigateway.messages import (
    Auth,
    Authenticated,
    ClientMessage,
    Error,
    GoingAway,
    Ping,
    Pong,
    Subscribe,
    Subscribed,
    Unsubscribe,
    decode_message,
    encode_message,
)
from parley.wsigateway.settings import WsiGatewaySettings
from parley.wsigateway.subscriptions import Subscription, Subscriptions

_logger = structlog.stdlib.get_logger(__name__)


class CloseCode(IntEnum):
    """Close codes we use (RFC 6455 7.4.1 and the IANA registry)."""

    GOING_AWAY = 1001
    UNSUPPORTED_DATA = 1003
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    TRY_AGAIN_LATER = 1013


class Gate(Protocol):
    """What a connection needs of the service."""

    async def verify(self, token: str) -> ApiToken | None:
        """Returns the token with this secret, if it is good."""
        ...

    async def check_tenant(self, tenant_id: str) -> None:
        """Raises `NotFound` when there is no such tenant."""
        ...

    def authenticated(self, connection: "Connection") -> bool:
        """Counts a client among the known ones; False when there are too many."""
        ...

    def subscribed(self, connection: "Connection", wanted: set[Subscription]) -> None:
        """Sends events of these to a client from now on."""
        ...

    def unsubscribed(self, connection: "Connection", unwanted: set[Subscription]) -> None:
        """Sends events of these no more."""
        ...


class ConnectionEnded(Exception):
    """Ends a connection; without a code the client is gone already."""

    def __init__(self, code: int | None = None, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Connection:
    """A client from its handshake to its end; `serve` is all of it.

    Attributes:
        subscriptions: what the client asked for; nothing until it has authenticated.
    """

    def __init__(
        self, socket: WebSocket, gate: Gate, settings: WsiGatewaySettings, clock: Clock
    ) -> None:
        self.subscriptions = Subscriptions(None, 0)
        self._socket = socket
        self._gate = gate
        self._settings = settings
        self._clock = clock
        self._queue: deque[str] = deque()
        self._has_items = asyncio.Event()
        self._ended: asyncio.Future[ConnectionEnded] = asyncio.get_running_loop().create_future()
        self._second = 0
        self._messages = 0

    def offer(self, text: str) -> None:
        """Queues an event; a full queue ends the connection."""
        if self._ended.done():
            return
        if len(self._queue) >= self._settings.queue_events:
            self.end(CloseCode.TRY_AGAIN_LATER, "events are read too slowly")
            return
        self._queue.append(text)
        self._has_items.set()

    def tell_end(self, closes_in_s: float) -> None:
        """Tells the client that this instance will send it away."""
        self.offer(encode_message(GoingAway(round(closes_in_s, 1))))

    def end(self, code: int | None, reason: str = "") -> None:
        """Asks the connection to close; the first one who asks is heard."""
        if not self._ended.done():
            self._ended.set_result(ConnectionEnded(code, reason))

    async def serve(self, token: str | None) -> int | None:
        """Runs the connection, accepted already, to its end.

        Args:
            token: what the handshake showed; None: the first message must show it.

        Returns:
            The code that we closed with, None when the client went by itself.
        """
        tasks = TaskOwner()
        try:
            tasks.spawn(self._ending(partial(self._talk, token, tasks)), name="wsi reader")
            ended = await self._ended
        finally:
            self.end(None)
            await tasks.aclose()
            self._queue.clear()
        if ended.code is not None:
            await self._close(ended.code, ended.reason)
        return ended.code

    async def _close(self, code: int, reason: str) -> None:
        # A client that reads nothing does not take the close frame either.
        try:
            async with asyncio.timeout(self._settings.close_timeout_s):
                await self._socket.close(code, reason)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            _logger.debug("client did not take the close frame", code=code)

    async def _ending(self, work: Callable[[], Awaitable[None]]) -> None:
        """Runs a part of the connection; whatever ends it ends the connection."""
        try:
            await work()
        except ConnectionEnded as ended:
            self.end(ended.code, ended.reason)
        except WebSocketDisconnect:
            self.end(None)
        finally:
            self.end(None)

    # -- what the client says ----------------------------------------------------------------

    async def _talk(self, token: str | None, tasks: TaskOwner) -> None:
        token = await self._authenticate(token)
        tasks.spawn(self._ending(self._write), name="wsi writer")
        tasks.spawn(self._ending(partial(self._recheck, token)), name="wsi token check")
        while True:
            await self._answer(await self._receive())

    async def _authenticate(self, token: str | None) -> str:
        if token is None:
            try:
                async with asyncio.timeout(self._settings.auth_timeout_s):
                    message = await self._receive()
            except TimeoutError as error:
                raise ConnectionEnded(CloseCode.POLICY_VIOLATION, "no token shown") from error
            if not isinstance(message, Auth):
                raise ConnectionEnded(CloseCode.POLICY_VIOLATION, "authenticate first")
            token = message.token
        try:
            found = await self._gate.verify(token)
        except BackingUnavailable as error:
            raise ConnectionEnded(CloseCode.TRY_AGAIN_LATER, "cannot authenticate now") from error
        if found is None:
            raise ConnectionEnded(CloseCode.POLICY_VIOLATION, "the token is unknown or expired")
        self.subscriptions = Subscriptions(found.tenant_id, self._settings.max_subscriptions)
        self.offer(encode_message(Authenticated(found.tenant_id)))
        if not self._gate.authenticated(self):
            raise ConnectionEnded(CloseCode.TRY_AGAIN_LATER, "too many connections")
        return token

    async def _receive(self) -> ClientMessage | DecodeError:
        """Returns the next message; one that is not understood as its error."""
        frame = await self._socket.receive()
        if frame["type"] == "websocket.disconnect":
            raise ConnectionEnded
        text = frame.get("text")
        if text is None:
            raise ConnectionEnded(CloseCode.UNSUPPORTED_DATA, "messages are text")
        if len(text) > self._settings.max_message_bytes:
            raise ConnectionEnded(CloseCode.MESSAGE_TOO_BIG, "the message is too large")
        self._count_message()
        try:
            return decode_message(text)
        except DecodeError as error:
            return error
        except (UnicodeEncodeError, RecursionError) as error:
            return DecodeError(str(error))

    def _count_message(self) -> None:
        second = int(self._clock.now())
        if second != self._second:
            self._second, self._messages = second, 0
        self._messages += 1
        if self._messages > self._settings.max_messages_per_s:
            raise ConnectionEnded(CloseCode.POLICY_VIOLATION, "too many messages")

    async def _answer(self, message: ClientMessage | DecodeError) -> None:
        try:
            match message:
                case Subscribe(topics, tenant):
                    await self._subscribe(topics, tenant)
                case Unsubscribe(topics, tenant):
                    self._gate.unsubscribed(self, self.subscriptions.remove(topics, tenant))
                    self._confirm(tenant)
                case Ping():
                    self.offer(encode_message(Pong()))
                case Auth():
                    raise ConnectionEnded(CloseCode.POLICY_VIOLATION, "authenticated already")
                case DecodeError():
                    self._refuse("malformed-message", str(message))
        except DomainError as error:
            self._refuse(error.error_id, str(error))
        except BackingUnavailable:
            self._refuse("temporarily-unavailable", "cannot look the tenant up now")

    async def _subscribe(self, topics: list[str], tenant: str | None) -> None:
        self.subscriptions.checked(topics, tenant)
        if tenant is not None and self.subscriptions.own_tenant is None:
            await self._gate.check_tenant(tenant)
        self._gate.subscribed(self, self.subscriptions.add(topics, tenant))
        self._confirm(tenant)

    def _confirm(self, tenant: str | None) -> None:
        reply = Subscribed(self.subscriptions.topics_of(tenant), tenant)
        self.offer(encode_message(reply))

    def _refuse(self, error: str, detail: str) -> None:
        self.offer(encode_message(Error(error, detail)))

    # -- what the client is told -------------------------------------------------------------

    async def _write(self) -> None:
        while True:
            await self._has_items.wait()
            while self._queue:
                # Taken off before it is sent: what waits is what counts against the bound.
                await self._socket.send_text(self._queue.popleft())
            self._has_items.clear()

    async def _recheck(self, token: str) -> None:
        while True:
            await asyncio.sleep(self._settings.recheck_s)
            try:
                found = await self._gate.verify(token)
            except BackingUnavailable:
                continue
            if found is None:
                raise ConnectionEnded(CloseCode.POLICY_VIOLATION, "the token has expired")
