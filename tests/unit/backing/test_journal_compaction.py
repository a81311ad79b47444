"""When a journal's contents are written anew, and how much of the time that takes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.backing.journal_compaction import Compaction
from parley.backing.journal_records import encode_records
from parley.backing.journalfile import JournalFiles

RECORD = b"x" * 1000


@pytest.fixture
def files(tmp_path: Path) -> Iterator[JournalFiles]:
    made = JournalFiles(tmp_path, "j")
    made.load(lambda _: None)
    yield made
    made.close()


def compaction_of(files: JournalFiles, records: int) -> Compaction:
    made = Compaction(files, from_bytes=2000)
    made.snapshot = lambda: iter([RECORD] * records)
    return made


def copy_all(compaction: Compaction) -> int:
    """Copies in no time; returns how many pieces it took."""
    pieces = 0
    while compaction.next_records(compaction.due_at):
        compaction.note_written(compaction.due_at, compaction.due_at)
        pieces += 1
    return pieces


def test_a_copy_takes_a_tenth_of_the_time(files: JournalFiles) -> None:
    compaction = compaction_of(files, 1000)
    compaction.demand()
    assert compaction.next_records(100.0)
    compaction.note_written(100.0, 100.01)
    assert not compaction.next_records(100.09)
    assert compaction.next_records(100.11)


def test_what_only_memory_has_is_copied_without_a_pause(files: JournalFiles) -> None:
    compaction = compaction_of(files, 1000)
    compaction.demand()
    compaction.is_bare = True
    while not compaction.is_copied:
        assert compaction.next_records(100.0)
        assert compaction.is_bare
        compaction.note_written(100.0, 100.0)
    assert not compaction.is_bare


def test_a_large_journal_is_copied_in_pieces(files: JournalFiles) -> None:
    compaction = compaction_of(files, 1000)
    compaction.demand()
    assert copy_all(compaction) > 10
    assert compaction.take_copied()
    assert not compaction.is_open


def test_it_begins_when_garbage_outweighs_what_lives(files: JournalFiles) -> None:
    compaction = compaction_of(files, 3)
    files.write(encode_records([RECORD]))
    assert not compaction.has_turn(0.0)
    files.write(encode_records([RECORD]))
    assert copy_all(compaction) == 1
    assert compaction.take_copied()
    files.delete_old()
    files.write(encode_records([RECORD] * 5))
    assert not compaction.has_turn(0.0)  # three of them live
    files.write(encode_records([RECORD]))
    assert compaction.has_turn(0.0)


def test_a_copy_that_cannot_be_written_begins_anew(files: JournalFiles) -> None:
    compaction = compaction_of(files, 3)
    compaction.demand()
    assert compaction.next_records(0.0)
    compaction.start_over()
    assert not compaction.is_copied
    assert len(compaction.next_records(0.0)) == 3
