"""Files with secrets: readable by their owner alone, replaced whole."""

import os
import re
import secrets
from pathlib import Path

_SECRET_BYTES = 32
_is_secret = re.compile(rf"[0-9a-f]{{{2 * _SECRET_BYTES}}}").fullmatch


def write_private(path: Path, content: bytes) -> None:
    """Replaces a file whole, also when the machine stops in between."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        # One that a crash has left keeps the mode that it has.
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def ensure_secret(path: Path) -> str:
    """Returns a random secret, the same at every start."""
    try:
        kept = path.read_text(encoding="ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        kept = ""
    if _is_secret(kept):
        return kept
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = secrets.token_hex(_SECRET_BYTES)
    write_private(path, fresh.encode("ascii"))
    return fresh
