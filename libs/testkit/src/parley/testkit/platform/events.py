"""The event stream (WSI) as a test uses it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import websockets

from parley.testkit.platform.running import Demo

Event = dict[str, Any]


class EventStream:
    """Events in the order in which they came; nothing is dropped."""

    def __init__(self, connection: websockets.ClientConnection) -> None:
        self._connection = connection
        self.seen: list[Event] = []

    async def until(self, kind: str, timeout_s: float = 5.0, **data: str) -> list[Event]:
        """Reads on until an event of that type whose data matches; returns all seen so far."""
        try:
            async with asyncio.timeout(timeout_s):
                while not any(_matches(event, kind, data) for event in self.seen):
                    self._take(await self._connection.recv())
        except TimeoutError:
            kinds = [event["type"] for event in self.seen]
            raise AssertionError(f"no {kind} {data} in {timeout_s:g} s, only {kinds}") from None
        return self.seen

    def of_subject(self, subject: str) -> list[Event]:
        """Events of one call or AOR."""
        return [event for event in self.seen if event["subject"] == subject]

    def _take(self, text: str | bytes) -> None:
        message = json.loads(text)
        if "specversion" in message:
            self.seen.append(message)


@asynccontextmanager
async def event_stream(demo: Demo, topics: Sequence[str]) -> AsyncIterator[EventStream]:
    """Connects, subscribes and waits for the confirmation, so that no later event is missed."""
    headers = {"Authorization": f"Bearer {demo.api_token}"}
    async with websockets.connect(demo.wsi_url, additional_headers=headers) as connection:
        request = {"action": "subscribe", "topics": list(topics), "tenant": demo.tenant_id}
        await connection.send(json.dumps(request))
        async with asyncio.timeout(5.0):
            await _confirmed(connection)
        yield EventStream(connection)


async def _confirmed(connection: websockets.ClientConnection) -> None:
    async for text in connection:
        message = json.loads(text)
        if message.get("action") == "subscribed":
            return
        assert message.get("action") != "error", f"the subscription was refused: {message}"
    raise AssertionError("the event stream closed before it confirmed the subscription")


def _matches(event: Event, kind: str, data: dict[str, str]) -> bool:
    if event["type"] != kind:
        return False
    return all(event["data"].get(name) == value for name, value in data.items())
