"""Health of a process for Kubernetes and Prometheus, as one tiny ASGI application.

`/healthz` answers 200 while the event loop turns, `/readyz` 200 while every service of the process
takes work (503 names those that do not, and says so from the first moment of a drain), `/metrics`
renders the registry.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Protocol

import msgspec

from parley.service.metrics import CONTENT_TYPE, Registry

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_Reply = tuple[int, str, bytes]


class Readiness(Protocol):
    """What a readiness check asks."""

    @property
    def name(self) -> str:
        """Names the service in the answer."""
        ...

    def is_ready(self) -> bool:
        """Says whether the service takes work now."""
        ...


class HealthApp:
    """ASGI application of the health port.

    Attributes:
        is_draining: the process will end; nothing of it is ready any more.
    """

    def __init__(self, services: Iterable[Readiness], registry: Registry) -> None:
        self._services = tuple(services)
        self._registry = registry
        self.is_draining = False
        self._routes: dict[str, Callable[[], _Reply]] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        route = self._routes.get(scope["path"])
        if route is None:
            reply = (404, "text/plain", b"not found\n")
        elif scope["method"] not in {"GET", "HEAD"}:
            reply = (405, "text/plain", b"only GET\n")
        else:
            reply = route()
        await _answer(send, reply, with_body=scope["method"] != "HEAD")

    def _healthz(self) -> _Reply:
        return (200, "text/plain", b"ok\n")

    def _readyz(self) -> _Reply:
        is_staying = not self.is_draining
        states = {service.name: is_staying and service.is_ready() for service in self._services}
        return (
            200 if all(states.values()) else 503,
            "application/json",
            msgspec.json.encode(states),
        )

    def _metrics(self) -> _Reply:
        return (200, CONTENT_TYPE, self._registry.render())


async def _answer(send: Send, reply: _Reply, *, with_body: bool) -> None:
    status, content_type, body = reply
    headers = [
        (b"content-type", content_type.encode("ascii")),
        (b"content-length", str(len(body)).encode("ascii")),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body if with_body else b""})
