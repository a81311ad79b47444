"""Secrets on disk."""

import stat
from pathlib import Path

import pytest

from parley.allinone.private_file import ensure_secret, write_private


def test_a_secret_is_the_same_at_every_start(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "edge"
    first = ensure_secret(path)
    assert len(first) == 64
    assert ensure_secret(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_secrets_differ(tmp_path: Path) -> None:
    assert ensure_secret(tmp_path / "a") != ensure_secret(tmp_path / "b")


@pytest.mark.parametrize("damage", [b"", b"short", b"\xff" * 64, b"a" * 63, b" " * 64, b"z" * 64])
def test_a_damaged_secret_is_made_again(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "edge"
    path.write_bytes(damage)
    fresh = ensure_secret(path)
    assert len(bytes.fromhex(fresh)) == 32
    assert ensure_secret(path) == fresh


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old and longer")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_left_by_a_crash_is_no_obstacle_and_not_readable_by_others(tmp_path: Path) -> None:
    left = tmp_path / "file.new"
    left.write_bytes(b"half")
    left.chmod(0o644)
    write_private(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
