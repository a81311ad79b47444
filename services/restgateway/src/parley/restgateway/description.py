"""The OpenAPI document: what the framework makes of the routes, and what it cannot know."""

from typing import Any

from fastapi import FastAPI

from parley.restgateway.problems import Problem

ABOUT = """Tenants, extensions, registrations, live calls and call detail records.

Callers prove themselves by a bearer token. Every error is an `application/problem+json` (RFC 9457)
with a stable `type`, which is `about:blank` where the status says it all. Collections come by
pages: `next` goes into `?after=`, until it is null; it is opaque. `X-Request-Id` is taken over or
made, returned, and found in the log.

Tenants and extensions have an `ETag`: with `If-Match` PATCH and DELETE change nothing that somebody
else has changed since (412), with `If-None-Match` GET shows nothing that has not changed (304).
"""

TAGS = [
    {"name": "tenants", "description": "Customers of the platform, each with its own domains."},
    {"name": "extensions", "description": "Numbers of a tenant, and the passwords of its phones."},
    {"name": "registrations", "description": "Where phones can be reached now; read only."},
    {"name": "calls", "description": "Calls that go on now; read only."},
    {"name": "cdrs", "description": "Call detail records of ended calls; read only."},
    {"name": "platform", "description": "What this server is."},
]


def complete(api: FastAPI) -> dict[str, Any]:
    """Makes the document of an application whose routes are all there."""
    document = api.openapi()
    schemas = document["components"]["schemas"]
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    return document
