"""The compaction of a journal: when the owner's contents are written anew, and which part is next.

It starts when the file has doubled since the last one, that is when garbage outweighs what lives,
or when what is on disk lacks something. Changes go into a new generation at once; the contents are
copied into it a little at a time and for a tenth of the time, so that a loop which is busy anyway
is not held up. What only memory has is copied without a pause.
"""

from collections.abc import Callable, Iterator

import structlog

from parley.backing.journalfile import JournalFiles

_BYTES_AT_ONCE = 64 * 1024
_SHARE = 0.1
_RETRY_S = 5.0
_BARE_RETRY_S = 1.0

_logger = structlog.stdlib.get_logger(__name__)

Snapshot = Callable[[], Iterator[bytes]]


class Compaction:
    """The present compaction, or the wait for the next.

    Args:
        files: of the journal.
        from_bytes: a smaller file is not worth one.

    Attributes:
        snapshot: begins to yield the owner's contents.
        due_at: when the next step has its turn, on the loop's clock.
        is_copied: all is copied, and the older generations may go once that is synced.
        is_bare: what is on disk lacks something that only memory has.
    """

    def __init__(self, files: JournalFiles, from_bytes: int) -> None:
        self._files = files
        self._from_bytes = from_bytes
        self.snapshot: Snapshot = lambda: iter(())
        self.due_at = 0.0
        self.is_copied = False
        self.is_bare = False
        self._copy: Iterator[bytes] | None = None
        self._copied_bytes = 0
        self._is_demanded = False
        self._is_stuck = False

    @property
    def is_open(self) -> bool:
        """Whether something is to be copied, now or later."""
        return self._copy is not None or self._is_wanted()

    def has_turn(self, now: float) -> bool:
        """Says whether something is to be copied now."""
        return now >= self.due_at and self.is_open

    def demand(self) -> None:
        """Has the contents written anew, whatever the size of the file."""
        self._is_demanded = True

    def start_over(self) -> None:
        """Gives up a copy that could not be written, to begin another."""
        if self._copy is not None or self.is_copied:
            self._copy, self.is_copied, self._is_demanded = None, False, True

    def begin_bare(self) -> None:
        """Begins at once, for nothing of what was written is on disk any more."""
        self._copy, self.is_copied, self._is_demanded = None, False, True
        self.due_at, self.is_bare = 0.0, True

    def postpone(self, now: float) -> None:
        """Waits before the next attempt."""
        self.due_at = now + (_BARE_RETRY_S if self.is_bare else _RETRY_S)

    def next_records(self, now: float) -> list[bytes]:
        """Returns what is to be written now, not much; nothing when it is not its turn."""
        if not self.has_turn(now) or not (self._copy is not None or self._is_begun(now)):
            return []
        assert self._copy is not None
        records: list[bytes] = []
        size = 0
        for payload in self._copy:
            records.append(payload)
            size += len(payload)
            if size >= _BYTES_AT_ONCE:
                break
        else:
            self._copy = None
            self.is_copied = True
        self._copied_bytes += size
        return records

    def note_written(self, began: float, now: float) -> None:
        """Learns that the last records are written, and how long they took to make and write."""
        if self.is_copied:
            self.is_bare = False
        elif not self.is_bare:
            self.due_at = began + (now - began) / _SHARE

    def take_copied(self) -> bool:
        """Says whether all is copied; the caller syncs it."""
        is_copied, self.is_copied = self.is_copied, False
        return is_copied

    def _is_wanted(self) -> bool:
        if self._is_demanded or self.is_copied:
            return not self.is_copied
        files = self._files
        if files.live_bytes <= self._from_bytes or files.live_bytes <= 2 * self._copied_bytes:
            return False
        return files.old_bytes == 0

    def _is_begun(self, now: float) -> bool:
        if self._files.needs_next:
            try:
                self._files.open_next()
            except OSError as error:
                if not self._is_stuck:
                    _logger.error("journal cannot be compacted; it grows", error=str(error))
                self._is_stuck = True
                self.postpone(now)
                return False
        self._is_stuck = self._is_demanded = False
        self._copied_bytes = 0
        self._copy = self.snapshot()
        return True
