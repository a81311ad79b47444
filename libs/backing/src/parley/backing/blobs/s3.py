"""The blob store on S3 and what speaks its protocol.

Small blobs are one request; larger ones, and streams, are uploaded in parts that appear together or
not at all. An upload that broke off leaves nothing that can be seen; a bucket's rule for incomplete
multipart uploads removes what a killed process may leave unseen. S3 has no folders: the policy that
no key is the folder of another one is the callers' to keep here.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable
from datetime import timedelta
from typing import Any, TypeVar

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import S3Store

from parley.backing.blobs.base import BlobInfo, ByteRange, Chunks, check_key
from parley.backing.blobs.s3_place import S3Place, bucket_and_folder
from parley.backing.errors import BackingUnavailable, BlobNotFound
from parley.service.errors import StartError

CHUNK_BYTES = 256 * 1024
_PART_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 4
_LIST_AT_ONCE = 500

_CONNECT_TIMEOUT_S = 2.0
_REQUEST_TIMEOUT_S = 15.0  # one try of a request, the body of a part included
_TIMEOUT_S = 30.0  # an operation without a body, retries included
_START_TIMEOUT_S = 5.0
_MAX_RETRIES = 3
_REFUSALS = ("401 Unauthorized", "403 Forbidden")
_MAX_REASON = 300

Infos = list[BlobInfo]  # inside the class, `list` is the method
T = TypeVar("T")

_logger = structlog.stdlib.get_logger(__name__)


class S3Blobs:
    """Implements `Blobs` on one bucket.

    Raises:
        ValueError: the URL names no bucket.
    """

    def __init__(self, place: S3Place) -> None:
        bucket, folder = bucket_and_folder(place.url)
        self._url = place.url
        self._store = S3Store(bucket, prefix=folder or None, **_options(place))

    async def start(self) -> None:
        """Looks into the bucket; one that cannot be reached now is not needed yet.

        Raises:
            StartError: there is no such bucket, or we may not use it.
        """
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await obstore.list(self._store, chunk_size=1).__anext__()
        except StopAsyncIteration:
            return
        except (BaseError, FileNotFoundError, TimeoutError) as error:
            # For listings the client has no types of its own for these.
            text = str(error)
            if "NoSuchBucket" in text:
                raise StartError(f"There is no bucket {self._url}.") from error
            if any(status in text for status in _REFUSALS):
                raise StartError(
                    f"The bucket {self._url} may not be used with these keys."
                ) from error
            _logger.warning("blob store away at the start", url=self._url, reason=_reason(error))

    async def aclose(self) -> None:
        """Nothing is held between operations."""

    async def put(self, key: str, chunks: Chunks) -> BlobInfo:
        """Stores a blob from a stream."""
        check_key(key)
        upload = _Upload(chunks)
        try:
            # Each request has its time-out; how long the stream takes is its own affair.
            await obstore.put_async(
                self._store,
                key,
                upload.content,
                use_multipart=upload.is_stream,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        except (BaseError, FileNotFoundError) as error:
            if upload.error is not None:
                raise upload.error from None
            raise BackingUnavailable(f"cannot store {key!r}: {_reason(error)}") from error
        info = await self.stat(key)
        if info is None:
            raise BlobNotFound(key)
        return info

    async def get(self, key: str, span: ByteRange | None = None) -> AsyncIterator[bytes]:
        """Returns the content in chunks."""
        check_key(key)
        start, stop = span or ByteRange()
        if start < 0 or (stop is not None and stop < start):
            raise ValueError("a byte range starts at 0 or later and does not end before its start")
        if span is not None:
            # S3 refuses ranges without a byte.
            info = await self.stat(key)
            if info is None:
                raise BlobNotFound(key)
            stop = info.size_bytes if stop is None else min(stop, info.size_bytes)
            if start >= stop:
                return _nothing()
        options: Any = {"range": (start, stop)} if span is not None else None
        try:
            result = await _bounded(obstore.get_async(self._store, key, options=options), key)
        except FileNotFoundError as error:
            raise BlobNotFound(key) from error
        return _pieces(key, result.stream(min_chunk_size=CHUNK_BYTES))

    async def stat(self, key: str) -> BlobInfo | None:
        """Tells size and time, or None."""
        check_key(key)
        try:
            return _info(await _bounded(obstore.head_async(self._store, key), key))
        except FileNotFoundError:
            return None

    async def delete(self, key: str) -> bool:
        """Removes a blob; False when there was none."""
        if await self.stat(key) is None:
            return False
        try:
            await _bounded(obstore.delete_async(self._store, key), key)
        except FileNotFoundError:
            return False
        return True

    async def list(self, prefix: str = "", limit: int | None = None) -> Infos:
        """Returns blobs whose key starts with `prefix`, ordered by key."""
        folder = prefix.rpartition("/")[0]
        if folder:
            check_key(folder)
        if limit is not None and limit <= 0:
            return []
        return await _bounded(self._list(prefix, folder, limit), prefix)

    async def _list(self, prefix: str, folder: str, limit: int | None) -> Infos:
        found: Infos = []
        # The prefix of S3's own listing ends with a folder; the offset skips what lies before ours.
        offset = prefix[:-1] if len(prefix) > len(folder) + 1 else None
        pages = obstore.list(self._store, folder or None, offset=offset, chunk_size=_LIST_AT_ONCE)
        async for page in pages:
            for meta in page:
                key = meta["path"]
                if key.startswith(prefix):
                    found.append(_info(meta))
                elif key > prefix:
                    # Listings come in the order of keys.
                    return sorted(found)
                if limit is not None and len(found) >= limit:
                    return sorted(found)
        return sorted(found)


class _Upload:
    """A blob's content in the form that the store takes; remembers the uploader's own error."""

    def __init__(self, chunks: Chunks) -> None:
        self.error: BaseException | None = None
        self.is_stream = not isinstance(chunks, bytes) or len(chunks) > _PART_BYTES
        self.content: Any = chunks if isinstance(chunks, bytes) else self._stream(chunks)

    async def _stream(self, chunks: Any) -> AsyncIterator[bytes]:
        try:
            if isinstance(chunks, AsyncIterable):
                async for chunk in chunks:
                    yield chunk
            else:
                for chunk in chunks:
                    yield chunk
        except BaseException as error:
            self.error = error
            raise


def _options(place: S3Place) -> dict[str, Any]:
    endpoint = place.endpoint or ""
    options: dict[str, Any] = {
        "region": place.region,
        "client_options": {
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=_CONNECT_TIMEOUT_S),
            "timeout": timedelta(seconds=_REQUEST_TIMEOUT_S),
        },
        "retry_config": {
            "max_retries": _MAX_RETRIES,
            "retry_timeout": timedelta(seconds=_REQUEST_TIMEOUT_S),
        },
    }
    if endpoint:
        options["endpoint"] = endpoint
    if place.key_id is not None and place.key is not None:
        options.update(access_key_id=place.key_id, secret_access_key=place.key)
    return options


async def _bounded(operation: Awaitable[T], key: str) -> T:
    """Waits for an operation; what is not there stays `FileNotFoundError`."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await operation
    except TimeoutError as error:
        raise BackingUnavailable(f"the blob store did not answer in time for {key!r}") from error
    except BaseError as error:
        raise BackingUnavailable(f"the blob store failed: {_reason(error)}") from error


async def _pieces(key: str, stream: Any) -> AsyncIterator[bytes]:
    while True:
        try:
            chunk = await _bounded(anext(stream), key)
        except StopAsyncIteration:
            return
        except FileNotFoundError as error:
            raise BlobNotFound(key) from error
        yield bytes(chunk)


async def _nothing() -> AsyncIterator[bytes]:
    empty: tuple[bytes, ...] = ()
    for chunk in empty:
        yield chunk


def _info(meta: Any) -> BlobInfo:
    # A single look-up tells whole seconds, a listing more: both tell the same here.
    return BlobInfo(meta["path"], meta["size"], float(int(meta["last_modified"].timestamp())))


def _reason(error: Exception) -> str:
    return (str(error).partition("\n")[0] or repr(error))[:_MAX_REASON]
