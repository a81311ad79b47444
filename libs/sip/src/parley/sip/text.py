"""Text that people read: UTF-8 (RFC 3261 7.3.1), or what a phone wrote instead.

What is no UTF-8 was parsed with surrogate escapes, which no file, database or JSON takes.
"""


def is_text(value: str) -> bool:
    """Says whether a parsed value was UTF-8."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_text(value: str) -> str:
    """Reads a parsed value as ISO 8859-1 where it was no UTF-8: some phones write that."""
    return value if is_text(value) else value.encode("utf-8", "surrogateescape").decode("latin-1")
