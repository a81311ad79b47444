"""The files of a journal: generations, torn tails, damage, the folder's lock.

Files are generations, `<name>.<number>.journal`; to load is to replay all of them in order. Only
the end of the last one can be torn by a kill or a power cut: it is cut off. Whatever else is not
sound is damage: it is told as an error, what is sound behind it is read all the same, and the file
is kept aside (`.damaged`) once the owner's contents are written anew. The alternative, to refuse to
start, would keep every call down for the sake of one record's last change.

A write that the disk refuses half-way is taken back.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import structlog

from parley.backing.errors import FolderInUse
from parley.backing.journal_records import MAGIC, SEARCH_BYTES, read_records

_logger = structlog.stdlib.get_logger(__name__)


class JournalFiles:
    """All generations of one journal; the last one is open for appending.

    Attributes:
        live_bytes: size of the generation that is written.
        old_bytes: size of the generations before it; not 0 while a compaction is unfinished.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self._name = name
        self._lock_fd = -1
        self._fd = -1
        self._path = folder
        self._retired_fds: list[int] = []
        self._generation = 0
        self._damaged: set[int] = set()
        self._is_torn = False
        self.live_bytes = 0
        self.old_bytes = 0

    @property
    def is_open(self) -> bool:
        """True between `load` and `close`."""
        return self._fd >= 0

    @property
    def is_damaged(self) -> bool:
        """A generation holds what is no record; it must be replaced by a new one."""
        return bool(self._damaged)

    @property
    def needs_next(self) -> bool:
        """Whether a compaction has to begin with `open_next`; an earlier attempt may have."""
        return self.old_bytes == 0 or self._generation in self._damaged

    def load(self, replay: Callable[[bytes], None]) -> None:
        """Locks the folder, replays all records and opens the last generation.

        Raises:
            FolderInUse: another process holds the journal.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock()
        try:
            generations = self._generations()
            for number, path in generations:
                is_last = number == generations[-1][0]
                if not _replay_file(path, replay, is_last=is_last):
                    self._damaged.add(number)
            if generations:
                self._reopen(generations)
            else:
                self.open_next()
        except BaseException:
            self.close()
            raise

    def is_gone(self) -> bool:
        """Whether the file that is written is not to be found in the folder any more."""
        try:
            there = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        ours = os.fstat(self._fd)
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def recreate(self) -> None:
        """Begins again in a folder that is gone; the owner's contents must be written anew.

        Raises:
            FolderInUse: another process was faster.
            OSError: the folder cannot be made.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1
        self._lock()
        # Files that somebody has put there are not ours to delete.
        self._damaged = {number for number, _ in self._generations()}
        self._generation = max(self._damaged | {self._generation})
        self.open_next()

    def _lock(self) -> None:
        path = self.folder / f"{self._name}.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise FolderInUse(
                f"Another process uses the data folder {self.folder}: stop it, or choose another "
                "folder."
            ) from error
        self._lock_fd = descriptor

    def _generations(self) -> list[tuple[int, Path]]:
        found = []
        for path in self.folder.glob(f"{self._name}.*.journal"):
            number = path.name.removeprefix(f"{self._name}.").removesuffix(".journal")
            if number.isdecimal():
                found.append((int(number), path))
        return sorted(found)

    def _reopen(self, generations: list[tuple[int, Path]]) -> None:
        self._generation, path = generations[-1]
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._path = path
        self.live_bytes = path.stat().st_size
        self.old_bytes = sum(old.stat().st_size for _, old in generations[:-1])

    def open_next(self) -> None:
        """Starts the next generation.

        Raises:
            OSError: the file cannot be made; the present one goes on.
        """
        path = self.folder / f"{self._name}.{self._generation + 1:08d}.journal"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            os.write(descriptor, MAGIC)
        except OSError:
            os.close(descriptor)
            path.unlink()
            raise
        if self._fd >= 0:
            self._retired_fds.append(self._fd)
        self._fd, self._path = descriptor, path
        self._is_torn = False
        self._generation += 1
        self.old_bytes += self.live_bytes
        self.live_bytes = len(MAGIC)

    def write(self, data: bytes) -> None:
        """Appends framed records, all or nothing.

        Raises:
            OSError: the disk refuses; the file is as it was.
        """
        if self._is_torn:
            self._take_back()
        rest = data
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            self._is_torn = True
            self._take_back()
            raise
        self.live_bytes += len(data)

    def _take_back(self) -> None:
        os.ftruncate(self._fd, self.live_bytes)
        self._is_torn = False

    def sync_job(self) -> Callable[[], None]:
        """Returns a function for another thread: forces what is written now to the medium.

        With it goes what was written to the generation before, and the folder's entry of this one.

        Raises:
            OSError: no descriptor is free.
        """
        ours = os.dup(self._fd)
        before, self._retired_fds = self._retired_fds, []
        descriptors = [*before, ours]
        folder = self.folder if before else None

        def sync() -> None:
            try:
                for descriptor in descriptors:
                    os.fdatasync(descriptor)
                if folder is not None:
                    _sync_folder(folder)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

        return sync

    def delete_old(self) -> None:
        """Deletes the generations that a finished compaction made needless; keeps damaged ones.

        Raises:
            OSError: one cannot be deleted; the rest may be.
        """
        for number, path in self._generations():
            if number >= self._generation:
                continue
            if number in self._damaged:
                aside = _free_name(path)
                path.rename(aside)
                self._damaged.discard(number)
                _logger.error("damaged journal file kept aside", file=aside.name)
            else:
                path.unlink(missing_ok=True)
        self._damaged.clear()
        self.old_bytes = 0

    def close(self) -> None:
        """Closes the files and gives the folder free."""
        for descriptor in (*self._retired_fds, self._fd, self._lock_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self._retired_fds = []
        self._fd = self._lock_fd = -1


def _replay_file(path: Path, replay: Callable[[bytes], None], *, is_last: bool) -> bool:
    """Replays a file and cuts its torn tail off; False when it is damaged."""
    data = path.read_bytes()
    if is_last and (len(data) < len(MAGIC) or not any(data)):
        # A kill between creating the file and writing its first bytes.
        _logger.warning("journal file without its mark; emptied", file=path.name, bytes=len(data))
        path.write_bytes(MAGIC)
        return True
    reading = read_records(data, replay)
    has_mark = data.startswith(MAGIC)
    tail = max(0, len(data) - reading.end)
    is_torn = is_last and 0 < tail <= SEARCH_BYTES
    damaged_bytes = reading.damaged_bytes + (0 if is_torn else tail)
    is_sound = has_mark and not damaged_bytes
    if not is_sound:
        _logger.error(
            "journal file is damaged; some of the last changes are lost",
            file=str(path),
            damaged_bytes=damaged_bytes,
            has_mark=has_mark,
            records_read=reading.records,
        )
    if is_torn:
        _logger.warning("journal cut at its torn tail", file=path.name, bytes=tail)
        os.truncate(path, reading.end)
    return is_sound


def _free_name(path: Path) -> Path:
    """A name for a damaged file that no other has."""
    aside, number = path.with_name(f"{path.name}.damaged"), 1
    while aside.exists():
        aside, number = path.with_name(f"{path.name}.damaged.{number}"), number + 1
    return aside


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
