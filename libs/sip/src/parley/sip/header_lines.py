"""The header of a message: raw lines in order, read and changed by canonical name.

Strategy: two parallel lists, canonical names and raw lines. A lookup is `list.index`, which runs
in C; a line that nobody touches goes out byte for byte. Values set by code are checked for line
breaks, so nothing that a peer put into a value can become a header of ours.
"""

from collections.abc import Container, Iterable
from typing import Any

from parley.sip.errors import LocalProtocolError
from parley.sip.header_names import UNSPLIT, WIRE
from parley.sip.value_list import split_values, value_end


def line_value(line: str) -> str:
    """Returns the value of a raw line, unfolded and stripped."""
    value = line[line.index(":") + 1 :].strip(" \t")
    if "\n" in value:
        value = " ".join(part.strip(" \t") for part in value.split("\r\n")).strip(" \t")
    return value


class HeaderLines:
    """Ordered header lines; names are canonical: lower case, long form ("call-id").

    Attributes:
        body: what follows the header.
    """

    __slots__ = ("_body", "_lines", "_names", "_typed", "_wire")

    def __init__(self) -> None:
        self._names: list[str] = []
        self._lines: list[str] = []
        self._typed: dict[str, Any] = {}
        self._wire: bytes | None = None
        self._body = b""

    @property
    def body(self) -> bytes:
        """The body; Content-Length follows it when the message is written."""
        return self._body

    @body.setter
    def body(self, body: bytes) -> None:
        self._body = body
        self._wire = None

    def get(self, name: str) -> str | None:
        """Returns the first line's value, unfolded and stripped; None without such a line."""
        names = self._names
        return line_value(self._lines[names.index(name)]) if name in names else None

    def get_all(self, name: str) -> list[str]:
        """Returns one value per line of that name."""
        if name not in self._names:
            return []
        return [line_value(self._lines[at]) for at in self._positions(name)]

    def pairs(self, names: Container[str]) -> list[tuple[str, str]]:
        """Returns name and value of every line that has one of these names, in order."""
        return [
            (name, line_value(line))
            for name, line in zip(self._names, self._lines, strict=True)
            if name in names
        ]

    def values(self, name: str) -> list[str]:
        """Returns the single values of a list header, over all its lines (RFC 3261 7.3.1).

        Raises:
            RemoteProtocolError: a quote or angle bracket is not closed.
        """
        lines = self.get_all(name)
        if name in UNSPLIT:
            return lines
        if len(lines) == 1:
            return split_values(lines[0])
        return [value for line in lines for value in split_values(line)]

    def has(self, name: str) -> bool:
        """Whether there is a line of that name."""
        return name in self._names

    def set(self, name: str, value: str) -> None:
        """Replaces all lines of that name, in the place of the first, or appends one."""
        line = self._line(name, value)
        names = self._names
        if name not in names:
            names.append(name)
            self._lines.append(line)
            return
        at = names.index(name)
        self._lines[at] = line
        if names.count(name) > 1:
            for extra in reversed(self._positions(name)[1:]):
                del names[extra], self._lines[extra]

    def add(self, name: str, value: str) -> None:
        """Appends a line after the last of that name, else at the end."""
        line = self._line(name, value)
        names = self._names
        if name in names:
            at = self._positions(name)[-1] + 1
            names.insert(at, name)
            self._lines.insert(at, line)
        else:
            names.append(name)
            self._lines.append(line)

    def prepend(self, name: str, value: str) -> None:
        """Puts a line before the first of that name, else at the top."""
        line = self._line(name, value)
        at = self._names.index(name) if name in self._names else 0
        self._names.insert(at, name)
        self._lines.insert(at, line)

    def extend(self, name: str, values: Iterable[str]) -> None:
        """Adds several lines of one name, in order."""
        for value in values:
            self.add(name, value)

    def remove(self, name: str) -> None:
        """Removes all lines of that name; none is fine."""
        if name not in self._names:
            return
        self._changed(name)
        for at in reversed(self._positions(name)):
            del self._names[at], self._lines[at]

    def remove_first_value(self, name: str) -> str | None:
        """Takes the topmost value of a list header (Via, Route) away and returns it.

        Raises:
            RemoteProtocolError: a quote or angle bracket is not closed.
        """
        names = self._names
        if name not in names:
            return None
        at = names.index(name)
        value = line_value(self._lines[at])
        rest = ""
        if "," in value:
            end = value_end(value)
            value, rest = value[:end].rstrip(" \t"), value[end + 1 :].lstrip(" \t,")
        self._changed(name)
        if rest:
            self._lines[at] = WIRE[name] + rest
        else:
            del names[at], self._lines[at]
        return value

    def replace_first_value(self, name: str, value: str) -> None:
        """Replaces the topmost value of a list header, or appends a line when there is none.

        Raises:
            RemoteProtocolError: a quote or angle bracket is not closed.
        """
        line = self._line(name, value)
        names = self._names
        if name not in names:
            names.append(name)
            self._lines.append(line)
            return
        at = names.index(name)
        old = line_value(self._lines[at])
        if "," in old and (rest := old[value_end(old) + 1 :].lstrip(" \t,")):
            line = f"{line}, {rest}"
        self._lines[at] = line

    def copy_lines(self, name: str, source: "HeaderLines") -> None:
        """Appends the lines of that name from another message byte for byte."""
        self._changed(name)
        for at in source._positions(name):
            self._names.append(name)
            self._lines.append(source._lines[at])

    def header_names(self) -> list[str]:
        """Returns the canonical names in order, one per line."""
        return self._names.copy()

    def header_size(self) -> tuple[int, int]:
        """Returns how many lines there are, folds counted, and their bytes without line ends."""
        count = size = 0
        for line in self._lines:
            count += 1 + line.count("\n")
            size += len(line if line.isascii() else line.encode("utf-8", "surrogateescape"))
        return count, size

    def is_ascii(self) -> bool:
        """Whether every line is plain ASCII; costs a flag per line."""
        return all(map(str.isascii, self._lines))

    def _positions(self, name: str) -> list[int]:
        return [at for at, present in enumerate(self._names) if present == name]

    def _line(self, name: str, value: str) -> str:
        # Three scans at memory speed: a regular expression would take five times as long.
        if "\n" in value or "\r" in value or "\0" in value:
            raise LocalProtocolError(f"line break or NUL in a value for {name}")
        line = WIRE[name] + value
        self._wire = None
        self._typed.pop(name, None)
        return line

    def _changed(self, name: str) -> None:
        self._wire = None
        self._typed.pop(name, None)
