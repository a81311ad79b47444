"""Errors as `application/problem+json` (RFC 9457), mapped once for the whole API."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from parley.model.errors import DomainError

PROBLEM_MEDIA_TYPE = "application/problem+json"


class InvalidField(BaseModel):
    """One field of a request that was refused."""

    field: str
    message: str


class Problem(BaseModel):
    """The body of every error response."""

    type: str = Field("about:blank", description="Stable URN of the kind of error.")
    title: str
    status: int
    detail: str = ""
    errors: list[InvalidField] = Field(default_factory=list)


def _response(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        problem.model_dump(),
        status_code=problem.status,
        headers=headers,
        media_type=PROBLEM_MEDIA_TYPE,
    )


async def _domain_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DomainError)
    challenge = {"WWW-Authenticate": "Bearer"} if error.http_status == 401 else None
    return _response(
        Problem(
            type=f"urn:parley:error:{error.error_id}",
            title=HTTPStatus(error.http_status).phrase,
            status=error.http_status,
            detail=str(error),
        ),
        challenge,
    )


async def _invalid_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    fields = [
        InvalidField(field=".".join(str(part) for part in item["loc"]), message=item["msg"])
        for item in error.errors()
    ]
    return _response(
        Problem(
            type="urn:parley:error:invalid-value",
            title="Unprocessable Content",
            status=422,
            detail="The request is not what this resource takes.",
            errors=fields,
        )
    )


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _response(
        Problem(
            title=HTTPStatus(error.status_code).phrase,
            status=error.status_code,
            detail=str(error.detail),
        ),
        dict(error.headers) if error.headers else None,
    )


async def _internal_error(_request: Request, _error: Exception) -> JSONResponse:
    return _response(
        Problem(
            type="urn:parley:error:internal",
            title="Internal Server Error",
            status=500,
            detail="The request failed; the log of the service says why.",
        )
    )


def install(app: FastAPI) -> None:
    """Makes `app` answer every error as a problem."""
    app.add_exception_handler(DomainError, _domain_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _internal_error)


PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "The request was refused; the body says why."}
}
"""For `responses=` of every router, so that the OpenAPI document describes errors too."""
