"""The door before inside connections: no SIP is read before the peer has proved itself.

With TLS the certificates of both ends are looked at once; without it who connects writes a greeting
line with a signed token first. Then the door gives the connection to `StreamConnection` and is not
on the way of any message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

import structlog

from parley.service.inside import Inside
from parley.service.tokens import MAX_TOKEN_BYTES
from parley.siptransport.addresses import host_port
from parley.siptransport.metrics import NodeCounts
from parley.siptransport.policy import NodePolicy

if TYPE_CHECKING:
    from parley.siptransport.connection import StreamConnection
    from parley.siptransport.transport import Peer

_GREETING: Final = b"PARLEY/1 "
_MAX_GREETING_BYTES: Final = len(_GREETING) + MAX_TOKEN_BYTES + 2
_PATIENCE_S: Final = 5.0
_TELL_S: Final = 1.0
"""Strangers are counted; one in this time is logged too."""

_logger = structlog.stdlib.get_logger(__name__)


class Doors:
    """All doors of one transport.

    Attributes:
        inside: our proof, and whom we believe.
        is_service: says of a host and port that we dial whether a service listens there.
    """

    def __init__(
        self, inside: Inside, is_service: Callable[[str, int], bool], counts: NodeCounts
    ) -> None:
        self.inside = inside
        self.is_service = is_service
        self._counts = counts
        self._told_at = -_TELL_S

    def before(self, connection: StreamConnection, address: Peer) -> Door:
        """Makes the door before a connection.

        Args:
            connection: gets the socket when the peer is one of ours.
            address: of the listening side, as the connecting side dials it.
        """
        host, port = address
        return Door(self, connection, host_port(host.lower(), port))

    def refused(self, peer: object, reason: str) -> None:
        """Notes a stranger."""
        self._counts.strangers += 1
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= _TELL_S:
            self._told_at = now
            _logger.warning("inside connection refused", peer=peer, reason=reason)


def doors_for(transport: str, policy: NodePolicy, counts: NodeCounts) -> Doors | None:
    """Returns the doors of a node's transport, if services connect by it."""
    if policy.inside is None or policy.inside.transport != transport:
        return None
    return Doors(policy.inside, policy.is_service, counts)


class Door(asyncio.Protocol):
    """Lets one connection in, or aborts it.

    Attributes:
        connection: what stands behind it.
        is_open: the peer has proved itself, or we have shown what it asks for.
        settled: done when it is open, or never will be.
    """

    def __init__(self, doors: Doors, connection: StreamConnection, address: str) -> None:
        self.connection = connection
        self.is_open = False
        self._doors = doors
        self._address = address
        self._heard = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Looks at the certificate, writes our greeting or waits for the peer's."""
        self._transport = stream = cast("asyncio.Transport", transport)
        inside = self._doors.inside
        if inside.is_tls:
            if inside.is_peer(stream.get_extra_info("ssl_object")):
                self._let_in(b"")
            else:
                self.refuse("its certificate is not one of our peers'")
        elif not inside.needs_token:
            self._let_in(b"")
        elif not self.connection.is_accepted:
            stream.write(_GREETING + inside.token(self._address).encode() + b"\r\n")
            self._let_in(b"")
        else:
            self._timer = asyncio.get_running_loop().call_later(
                _PATIENCE_S, self.refuse, "it said nothing"
            )

    def data_received(self, data: bytes) -> None:
        """Reads the greeting."""
        if self._transport is None or self._transport.is_closing():
            return
        self._heard += data
        line, end, rest = self._heard.partition(b"\r\n")
        if end and self._is_right(line):
            self._let_in(rest)
        elif end or len(self._heard) > _MAX_GREETING_BYTES:
            self.refuse("its token is wrong")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets a peer that went away."""
        self._leave()
        self._settle()

    def refuse(self, reason: str) -> None:
        """Ends the connection."""
        if self._transport is not None:
            self._doors.refused(self._transport.get_extra_info("peername"), reason)
        self.abort()

    def abort(self) -> None:
        """Ends the connection without a word."""
        self._leave()
        if self._transport is not None:
            self._transport.abort()
        self._settle()

    def _is_right(self, line: bytes) -> bool:
        token = line.removeprefix(_GREETING)
        return (
            line.startswith(_GREETING)
            and token.isascii()
            and self._doors.inside.takes_token(token.decode(), self._address)
        )

    def _let_in(self, rest: bytes) -> None:
        self._leave()
        self.is_open = True
        stream = self._transport
        assert stream is not None
        stream.set_protocol(self.connection)
        self.connection.connection_made(stream)
        self._settle()
        if rest:
            self.connection.data_received(rest)

    def _settle(self) -> None:
        if not self.settled.done():
            self.settled.set_result(None)

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
