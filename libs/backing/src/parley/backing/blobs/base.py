"""The blob port: objects by key, with the semantics of S3.

Policy. A key is a slash-separated path such as `recordings/<tenant>/<call>.wav`. A blob appears
whole or not at all and replaces what was there. A key is never the folder of another one (`a` and
`a/b` never both exist), because local disks cannot have that.
"""

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import NamedTuple, Protocol, TypeAlias

from parley.backing.errors import BlobKeyError

MAX_KEY_BYTES = 1024
MAX_SEGMENT_BYTES = 255

Chunks: TypeAlias = bytes | Iterable[bytes] | AsyncIterable[bytes]


class ByteRange(NamedTuple):
    """Bytes from `start` up to, not including, `stop` (None: to the end)."""

    start: int = 0
    stop: int | None = None


class BlobInfo(NamedTuple):
    """What is known of a blob without reading it; `modified_s` is Unix seconds."""

    key: str
    size_bytes: int
    modified_s: float


class Blobs(Protocol):
    """A store of blobs. Unfit keys raise `BlobKeyError` everywhere."""

    async def start(self) -> None:
        """Prepares the store."""
        ...

    async def aclose(self) -> None:
        """Releases everything."""
        ...

    async def put(self, key: str, chunks: Chunks) -> BlobInfo:
        """Stores a blob from a stream; on failure nothing is visible and nothing is left."""
        ...

    async def get(self, key: str, span: ByteRange | None = None) -> AsyncIterator[bytes]:
        """Returns the content in chunks; a span beyond the end is cut.

        Raises:
            BlobNotFound: when called, not while iterating, unless it vanishes in between.
        """
        ...

    async def stat(self, key: str) -> BlobInfo | None:
        """Tells size and time, or None."""
        ...

    async def delete(self, key: str) -> bool:
        """Removes a blob; False when there was none."""
        ...

    async def list(self, prefix: str = "", limit: int | None = None) -> list[BlobInfo]:
        """Returns blobs whose key starts with `prefix` (any text), ordered by key."""
        ...


def check_key(key: str) -> str:
    """Returns the key if every adapter can store it.

    Raises:
        BlobKeyError: empty, too long, absolute, or with a segment that could leave the store.
    """
    segments = key.split("/")
    if not key or len(_encoded(key)) > MAX_KEY_BYTES:
        raise BlobKeyError("a blob key has 1 to 1024 bytes")
    for segment in segments:
        if not segment or segment.startswith(".") or len(_encoded(segment)) > MAX_SEGMENT_BYTES:
            raise BlobKeyError(f"unfit segment in blob key {key!r}")
    if not key.isprintable() or "\\" in key:
        raise BlobKeyError(f"unfit character in blob key {key!r}")
    return key


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BlobKeyError("a blob key is valid Unicode text") from error
