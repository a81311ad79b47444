"""Tells whether the installed engine was built from the sources at hand.

The package is not installed editable, and a test run past the installer does not rebuild it: the
build bakes a checksum of its sources in (`py/build.rs`), and whoever has the sources compares.
"""

from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

from parley.mediaengine._engine import SOURCES

_ROOTS = ("Cargo.lock", "Cargo.toml", "core", "py", "python")
_SUFFIXES = frozenset({".rs", ".toml", ".lock", ".py", ".pyi"})


class StaleBuild(RuntimeError):
    """The installed media engine is older or newer than its sources."""


def check(sources: Path) -> None:
    """Raises `StaleBuild` if the folder holds other sources than the installed engine's.

    Args:
        sources: the crate's folder, `libs/mediaengine`. Nothing is checked if there is none.
    """
    if (sources / "Cargo.toml").exists() and checksum(sources) != SOURCES:
        raise StaleBuild(
            "the installed media engine does not match its sources: "
            f"run `uv pip install --no-deps {sources}`"
        )


def checksum(sources: Path) -> str:
    """The checksum of the sources in a folder, as the build bakes it in."""
    crc = 0
    for name in sorted(path.relative_to(sources).as_posix() for path in _files(sources)):
        crc = crc32((sources / name).read_bytes(), crc32(name.encode(), crc))
    return f"{crc:08x}"


def _files(sources: Path) -> Iterator[Path]:
    for root in _ROOTS:
        path = sources / root
        candidates = path.rglob("*") if path.is_dir() else (path,)
        yield from (file for file in candidates if file.suffix in _SUFFIXES and file.is_file())
