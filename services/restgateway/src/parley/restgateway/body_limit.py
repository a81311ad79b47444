"""Request bodies, read whole before the application sees them, up to a bound.

The framework reads a body before it asks who sends it. Here it is counted first: one that says that
it is larger, or turns out to be, is answered 413 and its connection closed instead of read.
"""

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parley.restgateway.problems import Problem, problem_response

_NO_BODY = {"type": "http.request", "body": b"", "more_body": False}


class BodyLimit:
    """ASGI middleware around the application."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on, its body in hand, or refuses it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = None if self._says_too_large(scope) else await self._read(receive)
        if body is None:
            await self._refuse(scope, receive, send)
        elif body["type"] == "http.request":
            await self._app(scope, _replayed(body, receive), send)

    def _says_too_large(self, scope: Scope) -> bool:
        # The server has seen to it that this is a number, and the only one.
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        return any(int(value) > self._max_bytes for value in lengths)

    async def _read(self, receive: Receive) -> Message | None:
        """Returns the whole body as one message, None when it is too large.

        A client that went away meanwhile is the `http.disconnect` that says so.
        """
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return message
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                return None
            if not message.get("more_body", False):
                return {**_NO_BODY, "body": bytes(body)}

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = Problem(
            type="urn:parley:error:body-too-large",
            status=413,
            detail=f"A request body has at most {self._max_bytes} bytes.",
        )
        response = problem_response(scope, problem, {"Connection": "close"})
        await response(scope, receive, send)


def _replayed(body: Message, receive: Receive) -> Receive:
    first: list[Any] = [body]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay
