"""The embedded blob store: files below one folder.

A blob is written to a temporary file beside the tree and renamed into place, so readers see all of
it or nothing, and a reader that has begun keeps what it reads. File work runs in threads.
"""

import asyncio
import errno
import os
import shutil
import stat
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from parley.backing.blobs.base import BlobInfo, ByteRange, Chunks, check_key
from parley.backing.errors import BackingUnavailable, BlobKeyError, BlobNotFound
from parley.service.ids import RandomIds

CHUNK_BYTES = 256 * 1024
_TEMPORARY = ".tmp"  # no key begins with a dot
Infos = list[BlobInfo]  # inside the class, `list` is the method
_TAKEN = {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY}


class LocalBlobs:
    """Implements `Blobs` on a local disk.

    Args:
        root: the store's folder; created by `start`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._ids = RandomIds()

    async def start(self) -> None:
        """Creates the folder and removes what broken uploads left."""
        await asyncio.to_thread(self._prepare)

    async def aclose(self) -> None:
        """Nothing is held between operations."""

    def _prepare(self) -> None:
        temporary = self._root / _TEMPORARY
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True, exist_ok=True)

    async def put(self, key: str, chunks: Chunks) -> BlobInfo:
        """Stores a blob from a stream."""
        target = self._path(key)
        temporary = self._root / _TEMPORARY / self._ids.token(12)
        try:
            with _disk_errors(key):
                file = await asyncio.to_thread(temporary.open, "xb")
            try:
                async for chunk in _stream(chunks):
                    with _disk_errors(key):
                        await asyncio.to_thread(file.write, chunk)
                with _disk_errors(key):
                    await asyncio.to_thread(self._publish, file, temporary, target)
            finally:
                with _disk_errors(key):
                    file.close()
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        info = await self.stat(key)
        if info is None:
            raise BlobNotFound(key)
        return info

    def _publish(self, file: BinaryIO, temporary: Path, target: Path) -> None:
        file.flush()
        os.fsync(file.fileno())
        while True:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.replace(target)
            except FileNotFoundError:
                # A delete took the empty folder away in between. Our own file is still there.
                if temporary.exists():
                    continue
                raise
            return

    async def get(self, key: str, span: ByteRange | None = None) -> AsyncIterator[bytes]:
        """Returns the content in chunks."""
        path = self._path(key)
        start, stop = span or ByteRange()
        if start < 0 or (stop is not None and stop < start):
            raise ValueError("a byte range starts at 0 or later and does not end before its start")
        if await asyncio.to_thread(_stat, path) is None:
            raise BlobNotFound(key)
        return _read(key, path, start, stop)

    async def stat(self, key: str) -> BlobInfo | None:
        """Tells size and time, or None."""
        found = await asyncio.to_thread(_stat, self._path(key))
        return None if found is None else BlobInfo(key, found.st_size, found.st_mtime)

    async def delete(self, key: str) -> bool:
        """Removes a blob; False when there was none."""
        return await asyncio.to_thread(self._delete, self._path(key))

    def _delete(self, path: Path) -> bool:
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return False
        for folder in path.parents:
            if folder == self._root:
                break
            try:
                folder.rmdir()
            except OSError:
                break
        return True

    async def list(self, prefix: str = "", limit: int | None = None) -> list[BlobInfo]:
        """Returns blobs whose key starts with `prefix`, ordered by key."""
        return await asyncio.to_thread(self._list, prefix, limit)

    def _list(self, prefix: str, limit: int | None) -> Infos:
        folder = prefix.rpartition("/")[0]
        if folder:
            check_key(folder)
        keys = sorted(key for key in _walk(self._root, folder) if key.startswith(prefix))
        found: Infos = []
        for key in keys:
            if limit is not None and len(found) >= limit:
                break
            status = _stat(self._root / key)
            if status is not None:
                found.append(BlobInfo(key, status.st_size, status.st_mtime))
        return found

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)


@contextmanager
def _disk_errors(key: str) -> Iterator[None]:
    """Translates the disk's errors, and only those: the uploader's own stay what they are."""
    try:
        yield
    except OSError as error:
        if error.errno in _TAKEN:
            raise BlobKeyError(f"{key!r} is, or lies in, the folder of another blob") from error
        raise BackingUnavailable(f"cannot store {key!r}: {error.strerror}") from error


async def _stream(chunks: Chunks) -> AsyncIterator[bytes]:
    if isinstance(chunks, bytes):
        yield chunks
    elif isinstance(chunks, AsyncIterable):
        async for chunk in chunks:
            yield chunk
    else:
        for chunk in chunks:
            yield chunk


async def _read(key: str, path: Path, start: int, stop: int | None) -> AsyncIterator[bytes]:
    try:
        file = await asyncio.to_thread(_open, path, start)
    except OSError as error:
        raise BlobNotFound(key) from error
    try:
        left = -1 if stop is None else stop - start
        while left != 0:
            size = CHUNK_BYTES if left < 0 else min(CHUNK_BYTES, left)
            chunk = await asyncio.to_thread(file.read, size)
            if not chunk:
                return
            if left > 0:
                left -= len(chunk)
            yield chunk
    finally:
        file.close()


def _open(path: Path, start: int) -> BinaryIO:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    file = os.fdopen(descriptor, "rb", buffering=0)
    file.seek(start)
    return file


def _stat(path: Path) -> os.stat_result | None:
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _walk(root: Path, folder: str) -> Iterator[str]:
    """Yields the keys below a folder, without following links."""
    for place, folders, files in os.walk(root / folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(place).relative_to(root)
        for name in files:
            if not name.startswith("."):
                yield (below / name).as_posix()
