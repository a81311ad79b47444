"""Checks the tree: file sizes, namespace packages, banned names, work markers."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 400
SOURCES = {".py", ".rs", ".ts", ".tsx"}
GENERATED = re.compile(r"_pb2(_grpc)?\.pyi?$|/migrations/versions/")
BANNED_NAMES = {"utils", "helpers", "common", "misc"}
NO_INIT = re.compile(r"^(libs|services|operator|tests)/(?:[^/]+/)*(?:src/parley/)?__init__\.py$")
PACKAGE_INIT = re.compile(r"^(libs|services|operator)/(?:[^/]+/(src|python)/)parley/[a-z_]+/")
MARKERS = re.compile(r"(^|[^A-Za-z])(TODO|FIXME|XXX|HACK)([^A-Za-z]|$)")


def tracked_files() -> list[str]:
    """Returns the paths that git tracks or would track, relative to the root."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [line for line in listing.stdout.splitlines() if (ROOT / line).is_file()]


def complaints(path: str) -> Iterator[str]:
    """Yields one sentence for each rule that the file breaks."""
    file = Path(path)
    if file.name == "__init__.py" and NO_INIT.match(path) and not PACKAGE_INIT.match(path):
        yield f"{path}: this folder must stay a namespace package, without __init__.py"
    if file.suffix not in SOURCES or GENERATED.search(path):
        return
    if file.stem in BANNED_NAMES:
        yield f"{path}: name the file after the noun that it holds"
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    if len(lines) > MAX_LINES:
        yield f"{path}: {len(lines)} lines, the limit is {MAX_LINES}"
    if path != "tools/check_layout.py":
        for number, line in enumerate(lines, start=1):
            if MARKERS.search(line):
                yield f"{path}:{number}: work markers belong in an issue"


def main() -> int:
    """Prints every complaint; the exit status says whether there was one."""
    found = [sentence for path in tracked_files() for sentence in complaints(path)]
    for sentence in found:
        print(sentence)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
