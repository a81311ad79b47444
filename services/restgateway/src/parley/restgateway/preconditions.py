"""Conditional requests (RFC 9110 sections 8.8.3 and 13): `ETag`, `If-Match`, `If-None-Match`.

The entity tag of a record is its version, and strong: each change of what is shown makes it grow.
"""

import re
from collections.abc import Container
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Response

from parley.model.errors import InvalidValue
from parley.restgateway.problems import PROBLEM_RESPONSES

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST: Final = re.compile(rf"[ \t]*+(?:{_TAG})?[ \t]*+(?:,[ \t]*+(?:{_TAG})?[ \t]*+)*+")
# Nobody else's tag reads as one of ours: no zero, no leading zeros, no more than the column holds.
_STRONG: Final = re.compile(r'(?<!W/)"([1-9][0-9]{0,17})"')
_WEAK: Final = re.compile(r'"([1-9][0-9]{0,17})"')
_EVERY: Final = range(1, 1 << 63)


def _if_match(
    values: Annotated[
        list[str] | None,
        Header(
            alias="If-Match",
            description="Entity tags that the resource must have one of, or `*`; else 412.",
        ),
    ] = None,
) -> Container[int] | None:
    return _versions(values, "If-Match", _STRONG)


def _if_none_match(
    values: Annotated[
        list[str] | None,
        Header(
            alias="If-None-Match",
            description="Entity tags that the client has, or `*`; 304 if it is one of them.",
        ),
    ] = None,
) -> Container[int] | None:
    return _versions(values, "If-None-Match", _WEAK)


IfMatch = Annotated[Container[int] | None, Depends(_if_match)]
"""Versions of which the resource must be one; None: it may be at any."""
IfNoneMatch = Annotated[Container[int] | None, Depends(_if_none_match)]
"""Versions that the client has already."""


def _versions(values: list[str] | None, name: str, tag: re.Pattern[str]) -> Container[int] | None:
    """Returns the versions that a header names; None without the header.

    Raises:
        InvalidValue: it is neither `*` nor a list of entity tags.
    """
    if values is None:
        return None
    text = ",".join(values)
    if text.strip(" \t") == "*":
        return _EVERY
    if _LIST.fullmatch(text) is None:
        raise InvalidValue(
            f"{name} is * or a list of quoted entity tags",
            http_status=400,
            error_id=f"{name.lower()}-invalid",
        )
    return frozenset(map(int, tag.findall(text)))


def entity_tag(version: int) -> dict[str, str]:
    """Returns the header that says at which version a record is shown."""
    return {"ETag": f'"{version}"'}


def not_modified(version: int) -> Response:
    """Returns the answer to a client that has this version."""
    return Response(status_code=304, headers=entity_tag(version))


_HEADERS = {
    "headers": {
        "ETag": {
            "description": "Strong entity tag of what is shown; for `If-Match`.",
            "schema": {"type": "string"},
        }
    }
}
_FAILED = PROBLEM_RESPONSES["default"] | {
    "description": "The resource has none of the tags of `If-Match`; it was not changed."
}

SHOWN: dict[int | str, dict[str, Any]] = {
    200: _HEADERS,
    304: {"description": "The client has it as it is.", **_HEADERS},
}
CREATED: dict[int | str, dict[str, Any]] = {201: _HEADERS}
CHANGED: dict[int | str, dict[str, Any]] = {200: _HEADERS, 412: _FAILED}
REMOVED: dict[int | str, dict[str, Any]] = {412: _FAILED}
"""For `responses=` of routes that show, create, change and remove a record."""
