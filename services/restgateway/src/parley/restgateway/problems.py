"""Errors as `application/problem+json` (RFC 9457), mapped once for the whole API."""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import Scope

from parley.backing.errors import BackingError
from parley.model.errors import DomainError

PROBLEM_MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
"""When a client may try again what could not be done now."""

# The phrases of RFC 9110, the same whichever Python runs.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}

_FIELDS = {
    "number-invalid": "body.number",
    "number-reserved": "body.number",
    "auth-name-invalid": "body.auth_name",
    "password-invalid": "body.password",
    "password-weak": "body.password",
    "password-missing": "body.password",
    "ring-timeout-invalid": "body.ring_timeout_s",
    "domain-invalid": "body.domain",
    "domain-taken": "body.domain",
    "echo-number-taken": "body.settings.echo_number",
    "cursor-invalid": "query.after",
    "range-invalid": "query.since",
    "if-match-invalid": "header.If-Match",
    "if-none-match-invalid": "header.If-None-Match",
}
"""The field that an error of the domain is about."""

_logger = structlog.stdlib.get_logger(__name__)


class InvalidField(BaseModel):
    """One field of a request that was refused."""

    field: str
    message: str


class Problem(BaseModel):
    """The body of every error response."""

    type: str = Field("about:blank", description="Stable URN of the kind of error.")
    title: str = ""
    status: int
    detail: str = ""
    request_id: str = Field("", description="Finds the request in the log of the service.")
    errors: list[InvalidField] = Field(default_factory=list)


def problem_response(
    scope: Scope, problem: Problem, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Makes the response, with the title of its status and the id of the request."""
    status = problem.status
    problem.title = _TITLES.get(status) or HTTPStatus(status).phrase
    info = scope.get("request_info")
    problem.request_id = "" if info is None else info.id
    return JSONResponse(
        problem.model_dump(), status_code=status, headers=headers, media_type=PROBLEM_MEDIA_TYPE
    )


async def _domain_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DomainError)
    problem = Problem(
        type=f"urn:parley:error:{error.error_id}", status=error.http_status, detail=str(error)
    )
    field = _FIELDS.get(error.error_id)
    if field is not None:
        problem.errors.append(InvalidField(field=field, message=str(error)))
    return problem_response(request.scope, problem, _headers(error.http_status))


def _headers(status: int) -> dict[str, str] | None:
    match status:
        case 401:
            return {"WWW-Authenticate": "Bearer"}
        case 503:
            return {"Retry-After": str(RETRY_AFTER_S)}
        case _:
            return None


async def _backing_away(request: Request, error: Exception) -> JSONResponse:
    _logger.warning("backing service away", reason=repr(error))
    problem = Problem(
        type="urn:parley:error:temporarily-unavailable",
        status=503,
        detail="A backing service does not answer; try again later.",
    )
    return problem_response(request.scope, problem, _headers(503))


async def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    broken = [item for item in error.errors() if item["type"] == "json_invalid"]
    if broken:
        problem = Problem(
            type="urn:parley:error:malformed-json", status=400, detail=f"No JSON: {_why(broken[0])}"
        )
        return problem_response(request.scope, problem)
    fields = [
        InvalidField(field=".".join(str(part) for part in item["loc"]), message=item["msg"])
        for item in error.errors()
    ]
    problem = Problem(
        type="urn:parley:error:invalid-value",
        status=422,
        detail="The request is not what this resource takes.",
        errors=fields,
    )
    return problem_response(request.scope, problem)


def _why(broken: dict[str, Any]) -> str:
    reason = broken.get("ctx", {}).get("error", broken["msg"])
    return f"{reason} at character {broken['loc'][-1]}."


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    problem = Problem(status=error.status_code, detail=str(error.detail))
    headers = dict(error.headers) if error.headers else {}
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # A route knows its own method alone; the path may have others.
        found = request.scope["request_info"].found
        headers["Allow"] = "GET, HEAD" if found is None else found.operations.allow
    return problem_response(request.scope, problem, headers)


async def _internal_error(request: Request, _error: Exception) -> JSONResponse:
    problem = Problem(
        type="urn:parley:error:internal",
        status=500,
        detail="The request failed; the log of the service says why.",
    )
    return problem_response(request.scope, problem)


def install(app: FastAPI) -> None:
    """Makes `app` answer every error as a problem."""
    app.add_exception_handler(DomainError, _domain_error)
    app.add_exception_handler(BackingError, _backing_away)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _internal_error)


PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "The request was refused or failed; the body says why.",
        "content": {
            PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}},
        },
    }
}
"""For `responses=` of every router, so that the OpenAPI document describes errors too."""
