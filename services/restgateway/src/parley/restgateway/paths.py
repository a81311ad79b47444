"""The API's own description, used to answer what no route needs to see.

Which methods a path has (`Allow`, OPTIONS, HEAD wherever there is a GET), which query parameters it
knows, and that bodies are JSON: all of it is in the OpenAPI document, so it is said once.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from msgspec import Struct
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parley.restgateway.problems import InvalidField, Problem, problem_response

_WITH_BODY: Final = frozenset(("POST", "PATCH", "PUT"))
_MAX_QUERY_FIELDS: Final = 50


class Operations(Struct, frozen=True):
    """What one path offers.

    Attributes:
        queries: names of query parameters by method.
    """

    template: str
    pattern: re.Pattern[str]
    queries: Mapping[str, frozenset[str]]

    @property
    def allow(self) -> str:
        """All methods that the path answers, as `Allow` names them."""
        derived = ("HEAD", "OPTIONS") if "GET" in self.queries else ("OPTIONS",)
        return ", ".join((*self.queries, *derived))


class Found(Struct, frozen=True):
    """A path of a request: what it offers, and the values in it."""

    operations: Operations
    values: Mapping[str, str]


class Paths:
    """All paths of an OpenAPI document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._all = list(map(_operations, document["paths"].items()))

    def find(self, path: str) -> Found | None:
        """Returns what a request's path offers; None: nothing."""
        for operations in self._all:
            match = operations.pattern.fullmatch(path)
            if match is not None:
                return Found(operations, match.groupdict())
        return None


def _operations(item: tuple[str, Mapping[str, Any]]) -> Operations:
    template, methods = item
    queries = {
        method.upper(): frozenset(
            parameter["name"]
            for parameter in operation.get("parameters", ())
            if parameter["in"] == "query"
        )
        for method, operation in methods.items()
    }
    return Operations(template, compile_path(template)[0], queries)


class PathChecks:
    """ASGI middleware that answers by the description alone what can be answered so.

    `RequestLog` has found the path of each request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or passes it on; HEAD as a GET whose body stays here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        found: Found | None = scope["request_info"].found
        response = None if found is None else self._answer(found.operations, scope)
        if response is not None:
            await response(scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._app({**scope, "method": "GET"}, receive, _without_body(send))
        else:
            await self._app(scope, receive, send)

    def _answer(self, operations: Operations, scope: Scope) -> Response | None:
        method = scope["method"]
        if method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": operations.allow})
        known = operations.queries.get("GET" if method == "HEAD" else method)
        if known is None:
            return None
        unknown = sorted(set(_query_names(scope)) - known)
        if unknown:
            return _unknown_query(scope, unknown)
        if method in _WITH_BODY and _has_body(scope) and not _is_json(scope):
            return _unsupported(scope)
        return None


def _query_names(scope: Scope) -> Iterator[str]:
    query = scope["query_string"].decode("latin-1")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError:
        yield "..."
        return
    for name, _ in pairs:
        yield name


def _has_body(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")):
            return True
    return False


def _is_json(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_type = value.split(b";")[0].strip().lower()
            return bool(media_type == b"application/json" or media_type.endswith(b"+json"))
    return False


def _unknown_query(scope: Scope, unknown: list[str]) -> Response:
    problem = Problem(
        type="urn:parley:error:invalid-value",
        status=422,
        detail="The resource has no such query parameter.",
        errors=[
            InvalidField(field=f"query.{name}", message="unknown parameter") for name in unknown
        ],
    )
    return problem_response(scope, problem)


def _unsupported(scope: Scope) -> Response:
    problem = Problem(
        type="urn:parley:error:unsupported-media-type",
        status=415,
        detail="A request body is application/json.",
    )
    return problem_response(scope, problem, {"Accept": "application/json"})


def _without_body(send: Send) -> Send:
    async def headers_only(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return headers_only
