"""Every request is named, counted, timed and logged: the outermost layer of the API.

A request's id is the client's (`X-Request-Id`, if it is short and plain) or ours; it is returned,
stands in every problem and in the access log. Nothing secret is logged: no header, no query, no
body; of a token its id.
"""

import re
from typing import Final

import structlog
from msgspec import Struct
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parley.restgateway.paths import Found, Paths
from parley.service.clock import Clock
from parley.service.ids import RandomIds
from parley.service.metrics import Metrics, Registry

REQUEST_ID_HEADER: Final = "X-Request-Id"
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_ID_BYTES: Final = 12
_OTHER: Final = "other"
_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS", "POST", "PATCH", "DELETE", "PUT"))
_MAX_LOGGED: Final = 64

_access = structlog.stdlib.get_logger("parley.restgateway.access")


class RequestInfo(Struct):
    """What is known of a request besides what it says.

    Attributes:
        found: what its path offers; None: nothing.
        token_id: of the token that was shown, once it is verified.
    """

    id: str
    found: Found | None
    token_id: str = ""


class RequestLog:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, paths: Paths, clock: Clock, registry: Registry) -> None:
        self._app = app
        self._paths = paths
        self._clock = clock
        self._ids = RandomIds()
        metrics = Metrics(registry, "restgateway")
        labels = ("method", "route", "status")
        self._requests = metrics.counter("requests", "Requests answered.", labels)
        self._seconds = metrics.histogram(
            "request_seconds", "From a request's head to the end of its response.", labels[:2]
        )
        self._in_flight = metrics.gauge("requests_in_flight", "Requests being answered.")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on and notes what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        info = scope["request_info"] = RequestInfo(
            self._request_id(scope), self._paths.find(scope["path"])
        )
        header = (REQUEST_ID_HEADER.lower().encode(), info.id.encode())
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        began = self._clock.now()
        self._in_flight.inc()
        try:
            await self._app(scope, receive, noted)
        finally:
            self._in_flight.dec()
            self._note(scope, info, status, self._clock.now() - began)

    def _request_id(self, scope: Scope) -> str:
        wanted = REQUEST_ID_HEADER.lower().encode()
        for name, value in scope["headers"]:
            if name == wanted and _REQUEST_ID.fullmatch(value):
                return str(value.decode())
        return self._ids.token(_ID_BYTES)

    def _note(self, scope: Scope, info: RequestInfo, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        found = info.found
        route = _OTHER if found is None else found.operations.template
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)
        tenant = "" if found is None else found.values.get("tenant_id", "")
        _access.info(
            "request",
            method=method,
            route=route,
            status=status,
            duration_ms=round(seconds * 1000, 1),
            tenant_id=tenant[:_MAX_LOGGED],
            token=info.token_id,
            request_id=info.id,
        )
