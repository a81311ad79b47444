"""One connection to Redis: commands out in order, replies back in order.

The wire format is hiredis's in both directions. A link knows nothing of time-outs, queues or other
servers: it hands every reply, and what was unanswered when it ended, to its receiver.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, cast

import hiredis

from parley.backing.state.redis_scripts import SCRIPTS, Script
from parley.backing.state.redis_url import Address, Login

Word: TypeAlias = str | bytes | int | float
ReplyError = hiredis.ReplyError
_pack: Any = hiredis.pack_command


class Refused(Exception):
    """The server does not let us in, or is not what we need."""


class Command:
    """One command under way.

    Attributes:
        future: of its reply.
        key: the one it works on; empty for none.
        packed: what goes over the wire.
        deadline: when its caller is told that it failed, in the loop's time.
        is_read: it changes nothing, so it may be done again when its outcome is unknown.
        needs_replicas: its caller hears of it when replicas have confirmed it, if any have to.
        barrier: what has to be confirmed before its caller hears of the reply.
    """

    __slots__ = (
        "_words",
        "barrier",
        "deadline",
        "future",
        "is_read",
        "key",
        "needs_replicas",
        "packed",
    )

    def __init__(
        self,
        future: asyncio.Future[Any],
        deadline: float,
        words: tuple[Word, ...],
        key: bytes = b"",
        *,
        is_read: bool = False,
    ) -> None:
        self.future = future
        self.key = key
        self.packed: bytes = _pack(words)
        self.deadline = deadline
        self.is_read = is_read
        self.needs_replicas = False
        self.barrier: Barrier | None = None
        self._words: tuple[Word, ...] | None = None

    @classmethod
    def of_script(
        cls,
        future: asyncio.Future[Any],
        deadline: float,
        script: Script,
        arguments: tuple[Word, ...],
    ) -> "Command":
        """Makes the call of a script; the first argument is its key."""
        key = arguments[0]
        assert isinstance(key, bytes)
        command = cls(future, deadline, ("EVALSHA", script.sha, 1, *arguments), key)
        command._words = ("EVAL", script.source, 1, *arguments)
        return command

    def carry_source(self) -> bool:
        """Makes the call of a script carry its source; False if this is none, or does already."""
        if self._words is None:
            return False
        self.packed = _pack(self._words)
        self._words = None
        return True

    def settle(self, reply: object) -> None:
        """Hands the reply over, unless nobody waits any more."""
        if not self.future.done():
            self.future.set_result(reply)

    def fail(self, error: Exception) -> None:
        """Hands an error over, unless nobody waits any more."""
        if not self.future.done():
            self.future.set_exception(error)


class Barrier(Command):
    """A WAIT behind a batch of writes, and their replies until it is answered."""

    __slots__ = ("held", "replicas")

    def __init__(
        self, future: asyncio.Future[Any], deadline: float, replicas: int, timeout_s: float
    ) -> None:
        super().__init__(future, deadline, ("WAIT", replicas, int(timeout_s * 1000)))
        self.replicas = replicas
        self.held: list[tuple[Command, object]] = []


class Receiver(Protocol):
    """Who hears of a link's replies and of its end."""

    def answered(self, command: Command, reply: object) -> None:
        """Takes the reply to the oldest unanswered command; errors are `ReplyError`s."""
        ...

    def lost(self, link: "Link", reason: str) -> None:
        """The link has ended; its `pending` commands have no answer. Called once, if at all."""
        ...

    def writable(self) -> None:
        """The link takes commands again."""
        ...


class Link(asyncio.Protocol):
    """A connection. Without receiver, replies go straight to the commands' futures.

    Attributes:
        pending: commands without reply, oldest first.
        is_open: whether commands can be sent at all.
        is_writable: False while the server takes nothing more.
        is_spent: set by the receiver when the link shall not be used any more.
    """

    def __init__(self) -> None:
        self.pending: deque[Command] = deque()
        self.receiver: Receiver | None = None
        self.is_open = False
        self.is_writable = True
        self.is_spent = False
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader()

    @classmethod
    async def open(cls, address: Address, login: Login) -> "Link":
        """Connects; the caller bounds the time.

        Raises:
            OSError: there is no connection.
        """
        loop = asyncio.get_running_loop()
        _, link = await loop.create_connection(cls, address.host, address.port, ssl=login.tls)
        return link

    async def greet(self, login: Login) -> None:
        """Logs in.

        Raises:
            Refused: the server does not accept the login.
            OSError: the connection was lost.
        """
        commands: list[tuple[Word, ...]] = []
        if login.password:
            user = (login.username,) if login.username else ()
            commands.append(("AUTH", *user, login.password))
        if login.db:
            commands.append(("SELECT", login.db))
        for reply in await self.ask_all(commands):
            if isinstance(reply, ReplyError):
                raise Refused(f"the login is refused: {reply}")

    async def check_master(self) -> str:
        """Makes sure that this is a master and knows our scripts.

        Returns:
            What tells it from any other master, also from itself before it was a replica for a
            while: its run id and replication id. Empty when the server keeps them to itself.

        Raises:
            Refused: it is a replica, or loads its data.
            OSError: the connection was lost.
        """
        asked: list[tuple[Word, ...]] = [("ROLE",), ("INFO", "server"), ("INFO", "replication")]
        asked += [("SCRIPT", "LOAD", script.source) for script in SCRIPTS]
        role, server, replication, *loaded = await self.ask_all(asked)
        if isinstance(role, list) and role[:1] != [b"master"]:
            raise Refused("the server is a replica")
        if error := next((reply for reply in loaded if isinstance(reply, ReplyError)), None):
            raise Refused(str(error))
        return f"{_info(server, 'run_id')}{_info(replication, 'master_replid')}"

    async def ask_all(self, questions: Sequence[tuple[Word, ...]]) -> list[Any]:
        """Does commands on a link that has no receiver yet; errors are among the replies.

        Raises:
            OSError: the connection was lost.
        """
        loop = asyncio.get_running_loop()
        commands = [Command(loop.create_future(), 0.0, words) for words in questions]
        self.send(commands)
        return list(await asyncio.gather(*(command.future for command in commands)))

    def send(self, commands: Sequence[Command]) -> None:
        """Writes commands at once.

        Raises:
            ConnectionError: the link has ended; nothing was sent.
        """
        if not commands:
            return
        if not self.is_open or self._transport is None:
            raise ConnectionError("the connection is closed")
        self.pending.extend(commands)
        self._transport.write(b"".join([command.packed for command in commands]))

    def abort(self) -> None:
        """Ends the link without waiting; its receiver hears nothing of it."""
        self.receiver = None
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        # Not checked: the transports of uvloop are of no class of asyncio.
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True
        found = transport.get_extra_info("socket")
        if found is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Cuts replies and hands them on."""
        reader = self._reader
        pending = self.pending
        try:
            reader.feed(data)
            while self.is_open and (reply := reader.gets()) is not False:
                if not pending:
                    raise hiredis.ProtocolError("a reply to nothing")
                command = pending.popleft()
                if self.receiver is not None:
                    self.receiver.answered(command, reply)
                else:
                    command.settle(reply)
        except hiredis.ProtocolError as error:
            self._end(f"it does not speak the protocol of Redis ({error})")

    def pause_writing(self) -> None:
        """The server is slower than we are."""
        self.is_writable = False

    def resume_writing(self) -> None:
        """It has caught up."""
        self.is_writable = True
        if self.receiver is not None:
            self.receiver.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._end("it closed the connection" if exc is None else f"connection lost ({exc})")

    def _end(self, reason: str) -> None:
        receiver = self.receiver
        self.abort()
        if receiver is not None:
            receiver.lost(self, reason)
            return
        for command in self.pending:
            command.fail(ConnectionResetError(reason))
        self.pending.clear()


def _info(reply: object, name: str) -> str:
    lines = reply.decode("utf-8", "replace").splitlines() if isinstance(reply, bytes) else []
    return next((line.partition(":")[2] for line in lines if line.startswith(f"{name}:")), "")
