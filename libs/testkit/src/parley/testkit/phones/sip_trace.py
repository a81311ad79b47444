"""SIP messages out of a phone's log: who sent what, with which session description.

baresip's trace (`-s`) puts `UDP 127.0.0.1:5070 -> 127.0.0.1:5060` above each message, sipp's
message file `UDP message sent (293 bytes):`. Both become `TracedMessage`, so that a test asks the
same question of either phone.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from parley.sdp import SdpError, SessionDescription, parse_sdp

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_BARESIP_MARK = re.compile(r"^(?:UDP|TCP|TLS|WS|WSS) (?P<source>\S+) -> (?P<target>\S+)$")
_BARESIP_END = re.compile(r"^\x1b\[;m")
_SIPP_MARK = re.compile(r"^(?:UDP|TCP|TLS|SCTP) message (?P<verb>sent|received) ")
_SIPP_END = re.compile(r"^-{20,} ")


@dataclass(frozen=True, slots=True)
class TracedMessage:
    """One message as a phone saw it.

    Attributes:
        is_received: it came in, as opposed to sent.
        text: start line, headers and body with LF line ends.
    """

    is_received: bool
    text: str

    @property
    def start_line(self) -> str:
        """Request line or status line."""
        return self.text.partition("\n")[0]

    @property
    def method(self) -> str:
        """Method of the request, or of the request that this answers."""
        if self.status is None:
            return self.start_line.partition(" ")[0]
        return (self.header("CSeq") or "0 UNKNOWN").split()[-1]

    @property
    def status(self) -> int | None:
        """Status of a response, `None` for a request."""
        match = re.match(r"SIP/2\.0 (\d{3})", self.start_line)
        return int(match[1]) if match else None

    @property
    def sdp(self) -> SessionDescription | None:
        """The session description it carries."""
        body = self.text.partition("\n\n")[2].strip()
        if not body.startswith("v=0"):
            return None
        try:
            return parse_sdp(body.encode())
        except SdpError as error:
            raise AssertionError(f"A phone saw a bad description: {error}\n{body}") from error

    def header(self, name: str) -> str | None:
        """Value of the first line with that name."""
        found = self.headers(name)
        return found[0] if found else None

    def headers(self, name: str) -> list[str]:
        """Values of all lines with that name."""
        head = self.text.partition("\n\n")[0]
        pattern = rf"^{re.escape(name)}[ \t]*:[ \t]*(.*?)[ \t]*$"
        return re.findall(pattern, head, re.IGNORECASE | re.MULTILINE)


def messages_of(
    messages: Iterable[TracedMessage],
    method: str,
    status: int | None = None,
    *,
    is_received: bool = True,
) -> list[TracedMessage]:
    """Requests of a method, or with a status the responses to them, that came in (or went out)."""
    return [
        message
        for message in messages
        if (message.method, message.status, message.is_received) == (method, status, is_received)
    ]


def of_baresip(lines: Iterable[str], own_port: int, peers: Sequence[str]) -> list[TracedMessage]:
    """Reads baresip's output.

    Args:
        lines: its log.
        own_port: the port it listens on; over connections it sends from another one.
        peers: `host:port` of the server it connects to.
    """

    def is_received(mark: re.Match[str]) -> bool:
        from_own_port = mark["source"].endswith(f":{own_port}")
        return not from_own_port and mark["target"] not in peers

    return _split(lines, _BARESIP_MARK, _BARESIP_END, is_received)


def of_sipp(text: str) -> list[TracedMessage]:
    """Reads sipp's message file."""
    return _split(text.splitlines(), _SIPP_MARK, _SIPP_END, lambda mark: mark["verb"] == "received")


def _split(
    lines: Iterable[str],
    start: re.Pattern[str],
    end: re.Pattern[str],
    is_received: Callable[[re.Match[str]], bool],
) -> list[TracedMessage]:
    found: list[TracedMessage] = []
    mark: re.Match[str] | None = None
    block: list[str] = []
    for raw in [*lines, ""]:
        line = raw.rstrip("\r\n")
        begins = start.match(_COLOUR.sub("", line))
        if mark is not None and (begins or end.match(line)):
            found.append(_message(is_received(mark), block))
            mark = None
        if begins:
            mark, block = begins, []
        elif mark is not None:
            block.append(_COLOUR.sub("", line))
    if mark is not None:
        found.append(_message(is_received(mark), block))
    return [message for message in found if message.text]


def _message(is_received: bool, block: list[str]) -> TracedMessage:
    return TracedMessage(is_received, "\n".join(block).strip("\n"))
