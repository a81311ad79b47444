"""Plain clients at a node's stream listeners."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress

from parley.sip.hop import Hop
from parley.siptransport.stream import StreamTransport
from parley.testkit.sip_peer import SipPeer

TCP = Hop("tcp", "127.0.0.1", 0)
TLS = Hop("tls", "127.0.0.1", 0)
OPTIONS = (
    b"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\n"
    b"Via: SIP/2.0/TCP 10.9.9.9:5555;branch=z9hG4bKraw%d;rport\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: raw\r\nCSeq: 1 OPTIONS\r\n"
    b"Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


def stream_of(peer: SipPeer, name: str) -> StreamTransport:
    """Returns a peer's transport."""
    transport = peer.node.transports[name]
    assert isinstance(transport, StreamTransport)
    return transport


async def connect(
    hop: Hop, source: str = "", tls: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connects as a plain client, from any address or from one; waits 5 s at most."""
    local = (source, 0) if source else None
    async with asyncio.timeout(5):
        return await asyncio.open_connection(hop.host, hop.port, local_addr=local, ssl=tls)


async def bounded(wait: Coroutine[None, None, bytes]) -> bytes:
    """Waits 5 s at most."""
    async with asyncio.timeout(5):
        return await wait


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop turn until something is so, 5 s at most."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a state without event, turn by turn
            await asyncio.sleep(0)


async def close(writer: asyncio.StreamWriter) -> None:
    """Closes a client, whoever was first."""
    writer.close()
    with suppress(OSError):  # the node was first
        await writer.wait_closed()
