"""baresip's control connection: JSON in netstrings over TCP (module `ctrl_tcp`)."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

_MAX_NETSTRING = 1 << 20


class ControlError(AssertionError):
    """The phone refused a command or told nothing in time."""


@dataclass(frozen=True, slots=True)
class PhoneEvent:
    """What the phone tells of itself: `kind` such as `CALL_RINGING`, `text` its parameter."""

    kind: str
    call_id: str
    peer: str
    text: str


class BaresipControl:
    """Commands to one phone and the events it tells; each event is given out once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._events: list[PhoneEvent] = []
        self._responses: dict[str, dict[str, object]] = {}
        self._changed = asyncio.Condition()
        self._is_open = True
        self._tokens = 0
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, port: int) -> Self:
        """Opens the connection to a phone that is ready."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @property
    def pending(self) -> list[PhoneEvent]:
        """Events nobody has asked for yet."""
        return self._events.copy()

    async def command(self, name: str, parameters: str = "", timeout_s: float = 5.0) -> str:
        """Runs a command and returns what the phone says to it."""
        self._tokens += 1
        token = str(self._tokens)
        data = json.dumps({"command": name, "params": parameters, "token": token}).encode()
        self._writer.write(b"%d:%s," % (len(data), data))
        await self._writer.drain()
        await self._until(lambda: token in self._responses, timeout_s, f"an answer to {name!r}")
        response = self._responses.pop(token)
        if not response.get("ok"):
            raise ControlError(f"The phone refused {name!r}: {response.get('data')}")
        return str(response.get("data", ""))

    async def wait_for(self, *kinds: str, timeout_s: float) -> PhoneEvent:
        """Returns and takes away the oldest event of one of these kinds."""

        def is_there() -> bool:
            return any(event.kind in kinds for event in self._events)

        await self._until(is_there, timeout_s, " or ".join(kinds))
        event = next(event for event in self._events if event.kind in kinds)
        self._events.remove(event)
        return event

    async def aclose(self) -> None:
        """Closes the connection; the phone goes on."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _until(self, is_true: Callable[[], bool], timeout_s: float, what: str) -> None:
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: is_true() or not self._is_open)
        except TimeoutError:
            kinds = [event.kind for event in self._events]
            raise ControlError(f"No {what} in {timeout_s:g} s; it told {kinds}.") from None
        if not is_true():
            raise ControlError(f"The phone closed its control connection before {what}.")

    async def _read(self) -> None:
        try:
            while True:
                size = int((await self._reader.readuntil(b":"))[:-1])
                if size > _MAX_NETSTRING:
                    break
                data = await self._reader.readexactly(size + 1)
                async with self._changed:
                    self._receive(json.loads(data[:-1].decode("utf-8", "replace")))
                    self._changed.notify_all()
        except (asyncio.IncompleteReadError, OSError, ValueError):
            pass
        self._is_open = False
        async with self._changed:
            self._changed.notify_all()

    def _receive(self, message: dict[str, object]) -> None:
        if message.get("response"):
            self._responses[str(message.get("token"))] = message
            return
        fields = (str(message.get(name, "")) for name in ("type", "id", "peeruri", "param"))
        self._events.append(PhoneEvent(*fields))
