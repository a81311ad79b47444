"""An append-only journal (write-ahead log) of small records, for embedded state, bus and queue.

Policy. The owner holds everything in memory and appends one record per change; all records of one
turn of the event loop leave in one `write()`, or in several where the owner wants them written
before its end. A compaction (`journal_compaction.py`) writes the owner's contents anew beside the
changes; when they are synced, the older generations are deleted.

A folder that vanishes while it is in use is made anew, with everything from memory. When the disk
refuses writes the records wait in memory up to a bound; beyond it they are dropped
and the next successful write is followed by a compaction, which writes everything anew from memory.
"""

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from parley.backing.errors import BackingUnavailable, FolderInUse
from parley.backing.journal_compaction import Compaction, Snapshot
from parley.backing.journal_records import encode_records
from parley.backing.journalfile import JournalFiles

_RETRY_S = 1.0
_SYNC_INTERVAL_S = 1.0
_LOOK_S = 1.0
_TELL_AGAIN_S = 60.0

_logger = structlog.stdlib.get_logger(__name__)

Waiters = list[asyncio.Future[None]]


class SyncPolicy(enum.Enum):
    """When written records are forced to the medium; a killed process loses none in any case."""

    NEVER = "never"
    INTERVAL = "interval"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class JournalLimits:
    """Sizes, in bytes: where compaction may start, and how much may wait for a refusing disk."""

    compact_from_bytes: int = 4 * 1024 * 1024
    pending_bytes: int = 64 * 1024 * 1024


DEFAULT_LIMITS = JournalLimits()


class Journal:
    """One journal in a folder, held by one process at a time.

    Use: `load()`, then `start()` inside the event loop, `append()`, at last `aclose()`.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        sync: SyncPolicy = SyncPolicy.INTERVAL,
        limits: JournalLimits = DEFAULT_LIMITS,
    ) -> None:
        self._files = JournalFiles(folder, name)
        self._sync = sync
        self._limits = limits
        self._compaction = Compaction(self._files, limits.compact_from_bytes)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Handle | None = None
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._is_failing = False
        self._copy_timer: asyncio.Handle | None = None
        self._look_at = self._tell_at = 0.0
        self._owes_deletion = False
        self._is_dirty = False
        self._sync_timer: asyncio.TimerHandle | None = None
        self._sync_job: asyncio.Future[None] | None = None
        self._write_waiters: Waiters = []
        self._sync_waiters: Waiters = []

    def load(self, replay: Callable[[bytes], None]) -> None:
        """Replays every record kept, oldest first, and opens the journal for appending.

        Raises:
            FolderInUse: another process holds the journal.
        """
        self._files.load(replay)
        if self._files.old_bytes > 0 or self._files.is_damaged:
            self._compaction.demand()

    def start(self, snapshot: Snapshot) -> None:
        """Binds the journal to the running loop.

        Args:
            snapshot: yields records that together make the owner's present contents; iterated in
                pieces while the owner goes on changing, so it looks each item up when asked.
        """
        self._loop = asyncio.get_running_loop()
        self._compaction.snapshot = snapshot
        # Before anything is written: a damaged file takes no more records.
        self._copy_timer = self._loop.call_soon(self._copy)

    def append(self, payload: bytes) -> None:
        """Queues a record, not an empty one; it is written at the end of this turn of the loop."""
        if not payload:
            raise ValueError("a journal keeps no empty record")
        self._pending.append(payload)
        self._pending_bytes += len(payload)
        if self._wake is None:
            self._schedule()

    def write_now(self) -> None:
        """Writes what is queued before the turn ends; a refusing disk is tried again later."""
        if self._pending and not self._is_failing:
            if self._wake is not None:
                self._wake.cancel()
            self._run()

    async def flushed(self) -> None:
        """Returns when all that was appended is written, and synced where the policy says so.

        Raises:
            BackingUnavailable: it had to be dropped.
        """
        if self._loop is None:
            self.flush()
            return
        waiter = self._loop.create_future()
        self._write_waiters.append(waiter)
        self._schedule()
        await waiter

    async def aclose(self) -> None:
        """Writes and syncs what is queued, then releases the files."""
        if not self._files.is_open:
            return
        self._stop_timers()
        compaction = self._compaction
        self._look_at = compaction.due_at = 0.0
        is_written = self.flush() if self._loop is None else self._copy()
        while is_written and compaction.is_bare and compaction.has_turn(self._time()):
            is_written = self._copy()
        if not is_written:
            _logger.error("journal closed with records unwritten", records=len(self._pending))
        self._stop_timers()
        self._loop = None
        if self._sync_job is not None:
            await asyncio.wait([self._sync_job])
        if self._sync is not SyncPolicy.NEVER and self._is_dirty:
            try:
                await asyncio.to_thread(self._files.sync_job())
            except OSError as error:
                _logger.error("journal closed without a sync", error=str(error))
                _fail(self._sync_waiters)
        _release(self._sync_waiters)
        _fail(self._write_waiters)
        self._files.close()

    def _stop_timers(self) -> None:
        for handle in (self._wake, self._sync_timer, self._copy_timer):
            if handle is not None:
                handle.cancel()
        self._wake = self._sync_timer = self._copy_timer = None

    def _time(self) -> float:
        return 0.0 if self._loop is None else self._loop.time()

    # -- writing -----------------------------------------------------------------------------

    def _schedule(self, delay_s: float = 0.0) -> None:
        if self._loop is None or self._wake is not None:
            return
        if delay_s:
            self._wake = self._loop.call_later(delay_s, self._run)
        else:
            self._wake = self._loop.call_soon(self._run)

    def _run(self) -> None:
        self._wake = None
        if not self.flush():
            self._schedule(_RETRY_S)

    def _wake_for_copy(self) -> None:
        if self._loop is not None and self._copy_timer is None:
            self._copy_timer = self._loop.call_at(self._compaction.due_at, self._copy)

    def _copy(self) -> bool:
        self._copy_timer = None
        began = self._time()
        is_written = self._write(self._compaction.next_records(began), began)
        if not is_written:
            self._schedule(_RETRY_S)
        return is_written

    def flush(self) -> bool:
        """Writes what is queued, in one piece; False when the disk refuses."""
        return self._write([], self._time())

    def _write(self, copied: list[bytes], began: float) -> bool:
        compaction = self._compaction
        try:
            if began >= self._look_at and self._loop is not None:
                self._look_after_folder(began)
            if self._pending or copied:
                self._files.write(encode_records(self._pending + copied))
                self._is_dirty = True
        except (OSError, FolderInUse) as error:
            self._refused(error)
            return False
        if copied or compaction.is_copied:
            compaction.note_written(began, self._time())
        self._pending = []
        self._pending_bytes = 0
        self._is_failing = False
        self._written()
        if compaction.is_open:
            self._wake_for_copy()
        return True

    def _look_after_folder(self, now: float) -> None:
        """Makes the folder anew when somebody has removed it."""
        self._look_at = now + _LOOK_S
        if not self._files.is_gone():
            return
        self._look_at = 0.0
        self._files.recreate()
        _logger.error("journal's folder was removed; made anew", folder=str(self._files.folder))
        self._compaction.begin_bare()
        if self._copy_timer is not None:
            self._copy_timer.cancel()
            self._copy_timer = None

    def _refused(self, error: Exception) -> None:
        self._is_failing = True
        if self._time() >= self._tell_at:
            self._tell_at = self._time() + _TELL_AGAIN_S
            _logger.error(
                "journal cannot be written; records wait in memory",
                folder=str(self._files.folder),
                error=str(error),
            )
        self._compaction.start_over()
        if self._pending_bytes > self._limits.pending_bytes:
            _logger.error("journal dropped waiting records", records=len(self._pending))
            self._pending = []
            self._pending_bytes = 0
            self._compaction.demand()
            self._compaction.is_bare = True
            _fail(self._write_waiters)
            _fail(self._sync_waiters)

    def _written(self) -> None:
        if self._compaction.is_bare:
            pass  # what somebody waits for may be among what only memory has
        elif self._sync is SyncPolicy.ALWAYS and (self._is_dirty or self._sync_job is not None):
            self._sync_waiters += self._write_waiters
            self._write_waiters.clear()
        else:
            _release(self._write_waiters)
        self._arm_sync()

    # -- syncing -----------------------------------------------------------------------------

    def _arm_sync(self) -> None:
        if self._loop is None or self._sync_job is not None or self._sync_timer is not None:
            return
        if self._compaction.is_copied:
            self._begin_sync()
        elif not self._is_dirty or (self._sync is SyncPolicy.NEVER and not self._owes_deletion):
            return
        elif self._sync is SyncPolicy.ALWAYS:
            self._begin_sync()
        else:
            self._sync_later()

    def _sync_later(self) -> None:
        assert self._loop is not None
        self._sync_timer = self._loop.call_later(_SYNC_INTERVAL_S, self._begin_sync)

    def _begin_sync(self) -> None:
        assert self._loop is not None
        self._sync_timer = None
        try:
            sync = self._files.sync_job()
        except OSError as error:
            _logger.error("journal cannot be synced; tried again", error=str(error))
            self._sync_later()
            return
        waiters, self._sync_waiters = self._sync_waiters, []
        ends_compaction = self._compaction.take_copied()
        self._is_dirty = False
        job = self._loop.run_in_executor(None, sync)
        self._sync_job = job
        job.add_done_callback(lambda _: self._synced(job, waiters, ends_compaction))

    def _synced(self, job: asyncio.Future[None], waiters: Waiters, ends_compaction: bool) -> None:
        self._sync_job = None
        error = None if job.cancelled() else job.exception()
        if job.cancelled() or error is not None:
            _logger.error("journal cannot be synced", error=str(error))
            # What the system could not bring to the medium it may have forgotten since.
            self._compaction.demand()
            self._compaction.postpone(self._time())
            self._wake_for_copy()
            _fail(waiters)
            return
        _release(waiters)
        if ends_compaction or self._owes_deletion:
            self._delete_old()
            # What changed during the copy may already be garbage again.
            if self._compaction.is_open:
                self._wake_for_copy()
        self._arm_sync()

    def _delete_old(self) -> None:
        try:
            self._files.delete_old()
        except OSError as error:
            if not self._owes_deletion:
                _logger.error("old journal file cannot be deleted", error=str(error))
            self._owes_deletion = True
        else:
            self._owes_deletion = False


def _release(waiters: Waiters) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()


def _fail(waiters: Waiters) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_exception(BackingUnavailable("the data folder cannot be written"))
    waiters.clear()
