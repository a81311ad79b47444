"""The files of a journal: framing, generations, torn tails, the folder's lock.

A record on disk is length, CRC-32, payload. Files are generations, `<name>.<number>.journal`; to
load is to replay all of them in order. A torn tail (power cut, kill) is cut off at load. A write
that the disk refuses half-way is taken back, because a torn record hides all that follow it.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import structlog

from parley.backing.errors import FolderInUse

_MAGIC = b"PRLYJNL1"
_HEADER = struct.Struct("<II")
_MAX_RECORD_BYTES = 1 << 28

_logger = structlog.stdlib.get_logger(__name__)


def encode_records(payloads: Iterable[bytes]) -> bytes:
    """Frames payloads as they stand in the file."""
    parts: list[bytes] = []
    for payload in payloads:
        parts.append(_HEADER.pack(len(payload), zlib.crc32(payload)))
        parts.append(payload)
    return b"".join(parts)


def read_records(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yields each sound record with the offset of its end; stops at the first unsound one."""
    offset = len(_MAGIC)
    end = len(data)
    while offset + _HEADER.size <= end:
        length, checksum = _HEADER.unpack_from(data, offset)
        start = offset + _HEADER.size
        offset = start + length
        if length > _MAX_RECORD_BYTES or offset > end:
            return
        payload = data[start:offset]
        if zlib.crc32(payload) != checksum:
            return
        yield payload, offset


class JournalFiles:
    """All generations of one journal; the last one is open for appending.

    Attributes:
        live_bytes: size of the generation that is written.
        old_bytes: size of the generations before it; not 0 while a compaction is unfinished.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._lock_fd = -1
        self._fd = -1
        self._generation = 0
        self.live_bytes = 0
        self.old_bytes = 0

    @property
    def is_open(self) -> bool:
        """True between `load` and `close`."""
        return self._fd >= 0

    def load(self, replay: Callable[[bytes], None]) -> None:
        """Locks the folder, replays all records and opens the last generation.

        Raises:
            FolderInUse: another process holds the journal.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock()
        try:
            generations = self._generations()
            for _, path in generations:
                _replay_file(path, replay)
            if generations:
                self._reopen(generations)
            else:
                self.open_next()
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        path = self._folder / f"{self._name}.lock"
        self._lock_fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise FolderInUse(f"Another process uses the data folder {self._folder}.") from error

    def _generations(self) -> list[tuple[int, Path]]:
        found = []
        for path in self._folder.glob(f"{self._name}.*.journal"):
            number = path.name.removeprefix(f"{self._name}.").removesuffix(".journal")
            if number.isdecimal():
                found.append((int(number), path))
        return sorted(found)

    def _reopen(self, generations: list[tuple[int, Path]]) -> None:
        self._generation, path = generations[-1]
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self.live_bytes = path.stat().st_size
        self.old_bytes = sum(old.stat().st_size for _, old in generations[:-1])

    def open_next(self) -> None:
        """Starts the next generation."""
        path = self._folder / f"{self._name}.{self._generation + 1:08d}.journal"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            os.write(descriptor, _MAGIC)
        except OSError:
            os.close(descriptor)
            path.unlink()
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = descriptor
        self._generation += 1
        self.old_bytes += self.live_bytes
        self.live_bytes = len(_MAGIC)

    def write(self, data: bytes) -> None:
        """Appends framed records, all or nothing.

        Raises:
            OSError: the disk refuses; the file is as it was.
        """
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:] if written else data)
        except OSError:
            os.ftruncate(self._fd, self.live_bytes)
            raise
        self.live_bytes += written

    def sync_job(self) -> Callable[[], None]:
        """Returns a function for another thread: forces what is written now to the medium."""
        descriptor = os.dup(self._fd)

        def sync() -> None:
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

        return sync

    def delete_old(self) -> None:
        """Deletes the generations that a finished compaction made needless."""
        for number, path in self._generations():
            if number < self._generation:
                path.unlink(missing_ok=True)
        self.old_bytes = 0

    def close(self) -> None:
        """Closes the files and gives the folder free."""
        for descriptor in (self._fd, self._lock_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self._fd = self._lock_fd = -1


def _replay_file(path: Path, replay: Callable[[bytes], None]) -> None:
    data = path.read_bytes()
    if not data.startswith(_MAGIC):
        # A kill between creating the file and writing its first bytes.
        _logger.warning("journal file without its mark; emptied", file=path.name, bytes=len(data))
        path.write_bytes(_MAGIC)
        return
    end = len(_MAGIC)
    for payload, record_end in read_records(data):
        replay(payload)
        end = record_end
    if end < len(data):
        _logger.warning("journal cut at its torn tail", file=path.name, bytes=len(data) - end)
        os.truncate(path, end)
