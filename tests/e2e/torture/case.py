"""What the edge must answer to one message of the RFCs, and how that is seen."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.e2e.torture.conftest import MakePeer
from tests.e2e.torture.peer import CLOSED

from parley.testkit.phones.raw_phone import RawPhone

TRANSPORTS: Final = ("udp", "tcp")
_FOLDER: Final = Path(__file__).parent
_CALL_ID: Final = re.compile(rb"^(?:Call-ID|i)[ \t]*:[ \t]*(\S+)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Case:
    """One message.

    Attributes:
        section: of its RFC.
        udp: what comes back where the datagram came from; None: nothing.
        says: what the RFC says of a server; no word of status where all treat it as any other.
        tcp: what comes back on the connection, one after the other; by default as by UDP.
        rest: what a stream still lacks; until then the edge is silent and waits.
        port: by UDP, the port that the answer goes to: the one in the Via.
        stamp: the answer tells in `received` where the request came from (RFC 3261 18.2.1), which
            it can where the Via can be read.
    """

    section: str
    udp: int | None
    says: str
    tcp: tuple[int, ...] | None = None
    rest: bytes = b""
    port: int = 5060
    stamp: bool = True

    def expected(self, transport: str) -> list[int]:
        """What comes back by a transport."""
        if transport == "tcp" and self.tcp is not None:
            return list(self.tcp)
        return [] if self.udp is None else [self.udp]


def messages(rfc: str) -> dict[str, bytes]:
    """The messages of an RFC by name."""
    return {path.stem: path.read_bytes() for path in sorted((_FOLDER / rfc).glob("*.dat"))}


def check(case: Case, data: bytes, transport: str, make_peer: MakePeer, stranger: RawPhone) -> None:
    """Sends a message; everything that comes back is right, and the edge lives on."""
    peer = make_peer(transport, case.port)
    peer.send(data)
    if transport == "tcp" and case.rest:
        assert stranger.is_alive()
        assert not peer.has_more()
        peer.send(case.rest)
    expected = case.expected(transport)
    assert peer.hear(len(expected)) == expected, peer.answers
    if CLOSED not in expected:
        assert peer.probe() == []
    call_ids = _CALL_ID.findall(data) or [b""]
    for answer in peer.answers:
        assert any(call_id in answer for call_id in call_ids)
        assert b"received=" + peer.host.encode() in answer or not case.stamp
    assert stranger.is_alive()
