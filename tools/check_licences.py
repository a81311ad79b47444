"""Checks that what the Rust crates are built from has licences that ask for nothing but their text.

`cargo metadata` tells what the lock files name.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKSPACES = ("libs/mediaengine", "libs/sipcore", "libs/sipcore/fuzz")
ALLOWED = frozenset(
    (
        "MIT",
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Unicode-3.0",
        "Zlib",
    )
)
_WORDS = re.compile(r"\(|\)|\bAND\b|\bOR\b|(?:(?!\bAND\b|\bOR\b)[^()/])+|/")


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression can be kept with the licences that are allowed."""
    words = iter([word.strip() for word in _WORDS.findall(expression) if word.strip()])
    return _any(words)


def _any(words: Iterator[str]) -> bool:
    """Alternatives up to a closing parenthesis or the end, each a chain of what is due at once."""
    found, chain = False, True
    for word in words:
        match word:
            case "OR" | "/":
                found, chain = found or chain, True
            case "AND":
                continue
            case ")":
                break
            case "(":
                chain = _any(words) and chain
            case licence:
                chain = licence in ALLOWED and chain
    return found or chain


def packages(workspace: str) -> list[dict[str, str]]:
    """What a workspace is built from."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    done = subprocess.run(command, cwd=ROOT / workspace, check=True, capture_output=True)
    found: list[dict[str, str]] = json.loads(done.stdout)["packages"]
    return found


def main() -> int:
    """Prints what is not allowed."""
    wrong = {
        f"{package['name']} {package['version']}: {package['license']}"
        for workspace in WORKSPACES
        for package in packages(workspace)
        if not is_allowed(package["license"] or "none")
    }
    for line in sorted(wrong):
        print(f"licence not allowed: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
