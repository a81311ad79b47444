"""Tells whether an installed Rust package was built from the sources at hand.

Such packages are not installed editable, and a test run past the installer does not rebuild them:
each build bakes a checksum of its sources in (`py/build.rs`), which is compared here.
"""

from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

_ROOTS = ("Cargo.lock", "Cargo.toml", "core", "py", "python", "wire")
_SUFFIXES = frozenset({".rs", ".toml", ".lock", ".py", ".pyi"})


class StaleBuild(RuntimeError):
    """The installed package is older or newer than its sources."""


def check(sources: Path, built_from: str) -> None:
    """Raises `StaleBuild` if the folder holds other sources than the installed package's.

    Args:
        sources: the package's folder, `libs/mediaengine`. Nothing is checked if there is none.
        built_from: the checksum that the installed package has.
    """
    if (sources / "Cargo.toml").exists() and checksum(sources) != built_from:
        raise StaleBuild(
            f"the installed {sources.name} does not match its sources: "
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
