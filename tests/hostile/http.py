"""Strangers at the HTTP and WebSocket ports: what they may cost, while others are served.

`python -m tests.hostile.http` starts a platform of its own on free ports and prints what it
measured; it fails when memory grows or a bystander waits. `assail` does the same on a smaller scale
to a platform that runs already.
"""

import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct
from tests.bench.meters import rss

from parley.testkit.platform.installation import Installation
from parley.testkit.platform.running import Demo

MAX_GROWTH_MIB = 64.0
MAX_WAIT_S = 5.0
_PATIENCE_S = 30.0
_CHUNK = b"x" * 65_536
_MIB = 1024 * 1024


class Scale(Struct, frozen=True, kw_only=True):
    """How much of it.

    Attributes:
        bodies: requests at a time, with `body_mib` each, half of them without a length.
        frames: WebSockets at a time that announce and send a frame of `frame_mib`.
        sockets: sockets at each port that say nothing.
        websockets: WebSockets that authenticate never.
    """

    bodies: int
    body_mib: int
    frames: int
    frame_mib: int
    sockets: int
    websockets: int


FULL = Scale(bodies=4, body_mib=400, frames=100, frame_mib=20, sockets=5_000, websockets=1_000)
SMALL = Scale(bodies=2, body_mib=32, frames=20, frame_mib=20, sockets=300, websockets=100)


class Outcome(Struct, frozen=True, kw_only=True):
    """What one assault did.

    Attributes:
        before_mib, peak_mib: resident memory of the platform.
        waited_s: the longest that a bystander waited for an answer.
        answered: how often the bystander was answered.
    """

    name: str
    before_mib: float
    peak_mib: float
    waited_s: float
    answered: int

    @property
    def is_bounded(self) -> bool:
        """Says whether the platform was neither filled nor blocked."""
        grown = self.peak_mib - self.before_mib
        return grown <= MAX_GROWTH_MIB and self.waited_s <= MAX_WAIT_S and self.answered > 0


async def assail(demo: Demo, pid: int, scale: Scale) -> list[Outcome]:
    """Does everything, one thing after the other."""
    api, wsi = urlsplit(demo.api_url), urlsplit(demo.wsi_url)
    assert api.port is not None and wsi.port is not None
    rest, events = (api.hostname or "", api.port), (wsi.hostname or "", wsi.port)
    assaults: dict[str, Callable[[], Awaitable[object]]] = {
        "large bodies": lambda: _all(_body(rest, scale.body_mib, n) for n in range(scale.bodies)),
        "large frames": lambda: _all(_frame(events, scale.frame_mib) for _ in range(scale.frames)),
        "silent sockets, REST": lambda: _silence(rest, scale.sockets, b""),
        "half heads, WSI": lambda: _silence(events, scale.sockets, b"GET /v1/events HTTP/1.1\r\n"),
        "silent WebSockets": lambda: _silence(events, scale.websockets, _handshake(events)),
    }
    return [await _measured(name, pid, rest, assault) for name, assault in assaults.items()]


async def _measured(
    name: str, pid: int, place: tuple[str, int], assault: Callable[[], Awaitable[object]]
) -> Outcome:
    before = peak = _rss_mib(pid)
    waited, answered = 0.0, 0
    work = asyncio.ensure_future(assault())
    while not work.done():
        began = time.perf_counter()
        answered += await _is_served(place)
        waited = max(waited, time.perf_counter() - began)
        peak = max(peak, _rss_mib(pid))
        await asyncio.wait([work], timeout=0.02)
    await work
    return Outcome(
        name=name,
        before_mib=before,
        peak_mib=max(peak, _rss_mib(pid)),
        waited_s=waited,
        answered=answered,
    )


async def _is_served(place: tuple[str, int]) -> bool:
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(_PATIENCE_S):
            reader, writer = await asyncio.open_connection(*place)
            writer.write(request)
            answer = await reader.read()
    except (OSError, TimeoutError):
        return False
    await _closed(writer)
    return answer.startswith(b"HTTP/1.1 200")


async def _body(place: tuple[str, int], mib: int, number: int) -> None:
    size = mib * _MIB
    length = f"Content-Length: {size}" if number % 2 else "Transfer-Encoding: chunked"
    reader, writer = await _connected(place)
    lines = ("POST /v1/tenants HTTP/1.1", "Host: a", "Content-Type: application/json", length)
    head = "\r\n".join((*lines, "", ""))
    chunk = _CHUNK if number % 2 else b"%x\r\n%s\r\n" % (len(_CHUNK), _CHUNK)
    await _poured(writer, head.encode(), chunk, size)
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            answer = await reader.read()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 413"), answer[:100]
    await _closed(writer)


async def _frame(place: tuple[str, int], mib: int) -> None:
    size = mib * _MIB
    reader, writer = await _connected(place)
    writer.write(_handshake(place))
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(_PATIENCE_S):
            await reader.readuntil(b"\r\n\r\n")
    announced = b"\x81\xff" + size.to_bytes(8, "big") + os.urandom(4)
    await _poured(writer, announced, _CHUNK, size)
    await _closed(writer)


async def _connected(place: tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(_PATIENCE_S):
        return await asyncio.open_connection(*place)


async def _poured(writer: asyncio.StreamWriter, head: bytes, chunk: bytes, size: int) -> None:
    """Sends until all is sent or the other side has had enough."""
    writer.write(head)
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            for _ in range(size // len(chunk)):
                writer.write(chunk)
                await writer.drain()


async def _silence(place: tuple[str, int], count: int, text: bytes) -> None:
    """Opens sockets that say this and nothing else, and keeps them until all are open."""
    writers: list[asyncio.StreamWriter] = []
    try:
        for _ in range(count):
            with suppress(OSError, TimeoutError):
                _, writer = await _connected(place)
                writers.append(writer)
                writer.write(text)
    finally:
        await _all(map(_closed, writers))


def _handshake(place: tuple[str, int]) -> bytes:
    lines = (
        "GET /v1/events HTTP/1.1",
        f"Host: {place[0]}:{place[1]}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    return "\r\n".join((*lines, "", "")).encode()


async def _all(work: Iterator[Awaitable[None]]) -> None:
    await asyncio.gather(*work)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1.0):
            await writer.wait_closed()


def _rss_mib(pid: int) -> float:
    return rss(pid) / _MIB


@contextmanager
def _many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def main() -> int:
    """Runs all of it against a platform of its own; 1 when something was not bounded."""
    with tempfile.TemporaryDirectory() as folder, _many_files():
        installation = Installation(Path(folder))
        try:
            child = installation.start()
            outcomes = asyncio.run(assail(installation.demo, child.pid, FULL))
        finally:
            installation.close()
    for one in outcomes:
        sys.stdout.write(
            f"{one.name:<22} RSS {one.before_mib:6.1f} -> {one.peak_mib:6.1f} MiB, bystander "
            f"answered {one.answered} times, waited {one.waited_s:.2f} s at most\n"
        )
    return 0 if all(one.is_bounded for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
