"""Session descriptions: parsed once, lines kept raw (RFC 8866).

Policy: the shape is checked at once (every line `x=...`, `v=0` first, an origin, sound `m=`
lines, limits), so that later readers may assume it; attributes are read when asked for. Line
ends may be CRLF or LF as clause 5 asks of a parser, and leave as they came.
"""

from collections.abc import Iterator
from typing import Final, Self

from parley.sdp.errors import MAX_BYTES, MAX_LINE_CHARACTERS, MAX_MEDIA, SdpError
from parley.sdp.section import Section
from parley.sdp.values import (
    STATIC_CODECS,
    Codec,
    Connection,
    Direction,
    OriginLine,
    parse_number,
    parse_port,
)

_DIRECTIONS: Final = {f"a={direction.value}": direction for direction in Direction}
_PLAIN_PROFILES: Final = frozenset(("RTP/AVP", "RTP/AVPF"))
_SECURE_PROFILES: Final = frozenset(("RTP/SAVP", "RTP/SAVPF"))
_PORT_SENTENCE: Final = "A media line's port must be a number up to 65535."


class MediaDescription(Section):
    """One `m=` section; what it does not say itself it takes from the session level.

    Attributes:
        kind: `audio`, `video`, `image`, ...
        port: 0 means refused or ended (RFC 3264 5.1, 8.2).
        port_count: consecutive port pairs (`49170/2`), almost always 1.
        proto: transport profile as written, such as `RTP/AVP`.
        formats: payload types or format names as written.
    """

    __slots__ = ("_session", "formats", "kind", "port", "port_count", "proto")

    def __init__(self, lines: list[str], session: Section) -> None:
        super().__init__(lines)
        self._session = session
        fields = lines[0][2:].split()
        if len(fields) < 4:
            raise SdpError("A media line must have a kind, a port, a protocol and a format.")
        port, slash, count = fields[1].partition("/")
        self.kind = fields[0]
        self.port = parse_port(port, _PORT_SENTENCE)
        self.port_count = parse_port(count, _PORT_SENTENCE) if slash else 1
        self.proto = fields[2]
        self.formats = fields[3:]

    def copied_to(self, session: Section) -> "MediaDescription":
        """A copy that belongs to another session section."""
        copy = object.__new__(MediaDescription)
        copy.lines, copy._session = self.lines.copy(), session
        copy.kind, copy.proto, copy.formats = self.kind, self.proto, self.formats
        copy.port, copy.port_count = self.port, self.port_count
        return copy

    def set_port(self, port: int) -> None:
        """Writes another port, one pair, into the `m=` line."""
        self.port, self.port_count = port, 1
        self.lines[0] = f"m={self.kind} {port} {self.proto} {' '.join(self.formats)}"

    @property
    def is_relayable(self) -> bool:
        """The stream is RTP that a relay can forward unseen, RTCP on a port of its own.

        Of SRTP that with its keys in the description: such a relay drops DTLS, and T.38 as well.
        """
        proto = self.proto.upper()
        if proto not in _PLAIN_PROFILES and not (proto in _SECURE_PROFILES and self.has_keys):
            return False
        return not self.has_attribute("rtcp-mux-only")

    @property
    def is_active(self) -> bool:
        """Neither refused nor ended."""
        return self.port != 0

    @property
    def connection(self) -> Connection | None:
        """The section's own `c=` or the session's."""
        text = self.value("c")
        if text is None:
            text = self._session.value("c")
        return None if text is None else Connection.parse(text)

    @property
    def direction(self) -> Direction:
        """The section's own direction, the session's, or `sendrecv` (RFC 8866 6.7)."""
        own = _written_direction(self)
        if own is None:
            own = _written_direction(self._session)
        return own or Direction.SENDRECV

    def set_direction(self, direction: Direction) -> None:
        """Writes the direction in place of what stands there."""
        self.lines = [line for line in self.lines if line.rstrip("\r") not in _DIRECTIONS]
        self.add_attribute(direction.value)

    @property
    def uses_ice(self) -> bool:
        """ICE is offered: the addresses in `c=` and `m=` are not where hold is told."""
        return self.has_attribute("ice-ufrag") or self._session.has_attribute("ice-ufrag")

    @property
    def effective_direction(self) -> Direction:
        """The direction with RFC 2543's hold (`c=0.0.0.0`) put in today's words."""
        return self.direction_at(self.connection)

    def direction_at(self, connection: Connection | None) -> Direction:
        """`effective_direction` for a caller that has read `connection` already."""
        if connection is not None and connection.is_null and not self.uses_ice:
            return self.direction.without_receiving
        return self.direction

    @property
    def is_held(self) -> bool:
        """The writer wants no media: sendonly, inactive or a null address (RFC 3264 8.4)."""
        return self.is_active and not self.effective_direction.receives

    @property
    def has_keys(self) -> bool:
        """Keys of SRTP stand in the description: SDES (RFC 4568) or MIKEY (RFC 4567)."""
        return (
            self.has_attribute("crypto")
            or self.has_attribute("key-mgmt")
            or self._session.has_attribute("key-mgmt")
        )

    @property
    def is_plain(self) -> bool:
        """RTP in a profile without keys."""
        return self.proto.upper() in _PLAIN_PROFILES

    @property
    def rtcp_port(self) -> int:
        """Port of RTCP: `a=rtcp` (RFC 3605) or the next one above RTP; 0 without RTP."""
        text = self.attribute("rtcp")
        if text:
            sentence = "An rtcp attribute's port must be a number up to 65535."
            return parse_port(text.split(None, 1)[0] if text.strip() else "", sentence)
        return min(self.port + 1, 65_535) if self.port else 0

    @property
    def rtcp_connection(self) -> Connection | None:
        """Address of RTCP when `a=rtcp` has one; otherwise RTCP goes where RTP goes."""
        text = self.attribute("rtcp")
        _, _, address = (text or "").strip().partition(" ")
        return Connection.parse(address) if address else None

    @property
    def codecs(self) -> list[Codec]:
        """The formats as codecs, in order of preference; what nothing describes is left out."""
        maps = _by_payload_type(self.attribute_values("rtpmap"))
        parameters = _by_payload_type(self.attribute_values("fmtp"))
        found = []
        for text in self.formats:
            codec = _codec(text, maps.get(text), parameters.get(text, ""))
            if codec is not None:
                found.append(codec)
        return found


class SessionDescription:
    """A whole description: session lines and media sections.

    Attributes:
        session: the session-level section.
        media: the media sections in order; offer/answer pairs them by place.
    """

    __slots__ = ("_end", "_line_end", "media", "session")

    def __init__(
        self,
        session: Section,
        media: list[MediaDescription],
        line_end: str = "\r\n",
        end: str = "\r\n",
    ) -> None:
        self.session = session
        self.media = media
        self._line_end = line_end
        self._end = end

    @property
    def origin(self) -> OriginLine:
        """The `o=` line."""
        return OriginLine.parse(self.session.value("o") or "")

    def set_origin(self, origin: OriginLine) -> None:
        """Writes the `o=` line."""
        self.session.set_value("o", str(origin))

    @property
    def connection(self) -> Connection | None:
        """The session-level `c=` line."""
        text = self.session.value("c")
        return None if text is None else Connection.parse(text)

    @property
    def direction(self) -> Direction:
        """The session-level direction."""
        return _written_direction(self.session) or Direction.SENDRECV

    def copy(self) -> Self:
        """A copy whose lines may be changed; it ends with a line end."""
        session = Section(self.session.lines.copy())
        media = [section.copied_to(session) for section in self.media]
        return type(self)(session, media, self._line_end, self._line_end)

    def lines(self) -> Iterator[str]:
        """All raw lines in order."""
        yield from self.session.lines
        for section in self.media:
            yield from section.lines

    def __bytes__(self) -> bytes:
        text = self._line_end.join(self.lines()) + self._end
        return text.encode("utf-8", "surrogateescape")


def parse_sdp(data: bytes) -> SessionDescription:
    """Parses a message body of type `application/sdp`.

    Raises:
        SdpError: with one sentence that may be shown to the sender.
    """
    if len(data) > MAX_BYTES:
        raise SdpError(f"A session description must not exceed {MAX_BYTES} bytes.")
    if b"\0" in data:
        raise SdpError("A session description must not hold a NUL byte.")
    text = data.decode("utf-8", "surrogateescape")
    body = text.rstrip("\r\n")
    if not body:
        raise SdpError("The session description is empty.")
    line_end = "\r\n" if body.count("\r\n") == body.count("\n") == body.count("\r") else "\n"
    if body.count("\n") == 0:
        line_end = "\r\n"
    lines = body.split(line_end)
    starts = _check_lines(lines)
    session = Section(lines[: starts[0]] if starts else lines)
    OriginLine.parse(session.value("o") or "")
    stops = [*starts[1:], len(lines)]
    media = [
        MediaDescription(lines[start:stop], session)
        for start, stop in zip(starts, stops, strict=False)
    ]
    return SessionDescription(session, media, line_end, text[len(body) :])


def _check_lines(lines: list[str]) -> list[int]:
    """Checks every line's shape; returns where the media sections start."""
    if lines[0].rstrip("\r") != "v=0":
        raise SdpError("A session description must start with the line v=0.")
    starts = []
    for place, line in enumerate(lines):
        if line[1:2] != "=" or not "a" <= line[0] <= "z":
            raise SdpError(f"Line {place + 1} must be a small letter, an equals sign and a value.")
        if len(line) > MAX_LINE_CHARACTERS:
            raise SdpError(f"Line {place + 1} must not exceed {MAX_LINE_CHARACTERS} characters.")
        if "\r" in line and line.index("\r") != len(line) - 1:
            raise SdpError(f"Line {place + 1} must not hold a carriage return.")
        if line[0] == "m":
            starts.append(place)
    if len(starts) > MAX_MEDIA:
        raise SdpError(f"A session description must not exceed {MAX_MEDIA} media lines.")
    return starts


def _written_direction(section: Section) -> Direction | None:
    for line in section.lines:
        direction = _DIRECTIONS.get(line.rstrip("\r"))
        if direction is not None:
            return direction
    return None


def _by_payload_type(values: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values:
        payload_type, _, rest = value.partition(" ")
        found.setdefault(payload_type, rest.strip())
    return found


def _codec(payload_type: str, rtpmap: str | None, fmtp: str) -> Codec | None:
    if not (payload_type.isascii() and payload_type.isdigit() and len(payload_type) <= 3):
        return None
    number = int(payload_type)
    if rtpmap is None:
        known = STATIC_CODECS.get(number)
        return known and Codec(number, known.name, known.clock_rate, known.channels, fmtp)
    name, _, rest = rtpmap.partition("/")
    rate, _, channels = rest.partition("/")
    sentence = "An rtpmap attribute must have a codec name, a clock rate and channels as numbers."
    clock_rate = parse_number(rate, sentence)
    return Codec(number, name, clock_rate, parse_number(channels or "1", sentence), fmtp)
