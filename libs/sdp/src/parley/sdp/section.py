"""One section of a description: raw lines in order, read by type and attribute name.

Lines are kept as they came, so whatever nobody touches leaves byte for byte as it arrived.
Nothing is indexed: a section has some twenty lines and most are never asked for.
"""

# RFC 8866 clause 9: the order of lines, `m` leading the media sections, which keep the rest of it.
_LINE_ORDER = "mvosiuepcbtrzka"


class Section:
    """The session-level lines, or one media description's lines.

    Attributes:
        lines: raw text of each line without its line end.
    """

    __slots__ = ("lines",)

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def value(self, kind: str) -> str | None:
        """Returns what follows `<kind>=` in the first such line."""
        for line in self.lines:
            if line[0] == kind:
                return line[2:].rstrip("\r")
        return None

    def values(self, kind: str) -> list[str]:
        """Returns the values of all lines of one type, in order."""
        return [line[2:].rstrip("\r") for line in self.lines if line[0] == kind]

    def attribute(self, name: str) -> str | None:
        """Returns the first `a=<name>` value: empty text for a flag, `None` when absent."""
        start = f"a={name}"
        for line in self.lines:
            if line.startswith(start):
                rest = line[len(start) :].rstrip("\r")
                if not rest:
                    return ""
                if rest[0] == ":":
                    return rest[1:]
        return None

    def has_attribute(self, name: str) -> bool:
        """Tells whether `a=<name>` is there, with or without a value."""
        return self.attribute(name) is not None

    def attribute_values(self, name: str) -> list[str]:
        """Returns every `a=<name>:` value in order; flags are left out."""
        start = f"a={name}:"
        return [line[len(start) :].rstrip("\r") for line in self.lines if line.startswith(start)]

    @property
    def attributes(self) -> list[tuple[str, str]]:
        """All `a=` lines as (name, value); the value of a flag is empty."""
        found = []
        for value in self.values("a"):
            name, _, rest = value.partition(":")
            found.append((name, rest))
        return found

    def set_value(self, kind: str, value: str) -> None:
        """Leaves one line of this type, in the first one's place or where RFC 8866 wants it."""
        line = f"{kind}={value}"
        places = [place for place, text in enumerate(self.lines) if text[0] == kind]
        if not places:
            self.lines.insert(self._place_for(kind), line)
            return
        self.lines[places[0]] = line
        for place in reversed(places[1:]):
            del self.lines[place]

    def remove(self, kind: str) -> None:
        """Drops all lines of one type."""
        self.lines = [line for line in self.lines if line[0] != kind]

    def add_attribute(self, name: str, value: str | None = None) -> None:
        """Appends an attribute line."""
        self.lines.append(f"a={name}" if value is None else f"a={name}:{value}")

    def _place_for(self, kind: str) -> int:
        rank = _LINE_ORDER.index(kind)
        for place, line in enumerate(self.lines):
            if _LINE_ORDER.find(line[0]) > rank:
                return place
        return len(self.lines)


def attribute_name(line: str) -> str | None:
    """Returns the attribute name of a raw line, `None` when it is no attribute."""
    if line[0] != "a":
        return None
    return line[2:].partition(":")[0].rstrip("\r")
