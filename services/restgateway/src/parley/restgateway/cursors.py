"""Cursors of collections: opaque to clients, good for the collection that made them alone.

A cursor is where a page ended, as JSON behind the name of its collection, in URL-safe base64.
Whatever else comes as `after` is refused.
"""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Final, TypeVar

import msgspec
from fastapi import Query
from msgspec import Meta, Struct

from parley.model.errors import InvalidValue

After = Annotated[
    str | None, Query(max_length=8192, description="`next` of the page before; opaque.")
]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many items a page has at most.")]
_MAX_ROW: Final = (1 << 63) - 1
"""A cursor with more would make the database's driver fail, not the request."""


class Place(Struct, frozen=True, array_like=True, tag_field="of"):
    """Where a page ended; subclasses are tagged with their collection."""


class TenantPlace(Place, frozen=True, tag="tenants"):
    """The last tenant shown."""

    id: str


class ExtensionPlace(Place, frozen=True, tag="extensions"):
    """The last extension shown."""

    number: str


class CallPlace(Place, frozen=True, tag="calls"):
    """The last call looked at: when it started, and its id."""

    started_s: float
    call_id: str


class RegistrationPlace(Place, frozen=True, tag="registrations"):
    """The last binding shown, and the place of its AOR in the index."""

    due_s: float
    aor: str
    binding: str


class CdrPlace(Place, frozen=True, tag="cdrs"):
    """The last call shown: when it started, and its row."""

    started_at: Annotated[datetime, Meta(tz=True)]
    row: Annotated[int, Meta(ge=0, le=_MAX_ROW)]


P = TypeVar("P", bound=Place)


def encode_cursor(place: Place) -> str:
    """Returns the text of a cursor."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode("ascii").rstrip("=")


def decode_cursor(text: str | None, kind: type[P]) -> P | None:
    """Reads a cursor; None when there is none.

    Raises:
        InvalidValue: it is not one of this collection.
    """
    if text is None:
        return None
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        return msgspec.json.decode(
            base64.b64decode(padded, altchars=b"-_", validate=True), type=kind
        )
    except (binascii.Error, UnicodeError, msgspec.DecodeError) as error:
        raise InvalidValue("the cursor is not valid", error_id="cursor-invalid") from error
