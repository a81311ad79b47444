"""Strangers who cost a platform something: `python -m tests.hostile.attackers KIND ...`.

They run in a process of their own, so that the phones which are measured do not wait for them.
"""

import argparse
import asyncio
import socket
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import Final

_BATCH_S: Final = 0.005
_AGAIN_S: Final = 5.0
_DRIP_S: Final = 1.0
_OPENING: Final = 200
_PATIENCE_S: Final = 5.0


def address(number: int) -> str:
    """One of many loopback addresses, none of which a phone has."""
    return f"127.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}"


def flood(arguments: argparse.Namespace) -> None:
    """Sends INVITEs and REGISTERs without credentials, and reads no answer, as if forged."""
    target = (arguments.host, arguments.port)
    sockets = []
    for number in range(arguments.addresses):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address(number), 0))
        sockets.append((sock, "{}:{}".format(*sock.getsockname())))
    began, sent = time.perf_counter(), 0
    while sent < arguments.count:
        due = min(arguments.count, int((time.perf_counter() - began) * arguments.rate) + 1)
        while sent < due:
            sock, source = sockets[sent % len(sockets)]
            sock.sendto(_request(sent, source, arguments.domain), target)
            sent += 1
        time.sleep(_BATCH_S)
    took = time.perf_counter() - began
    sys.stdout.write(f"sent {sent} in {took:.1f} s\n")


def _request(number: int, source: str, domain: str) -> bytes:
    method = "INVITE" if number % 2 else "REGISTER"
    user = 1001 + number % 10
    uri = f"sip:{user}@{domain}" if number % 2 else f"sip:{domain}"
    return (
        f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {source};branch=z9hG4bKf{number};rport\r\n"
        f"From: <sip:{user}@{domain}>;tag=f{number}\r\nTo: <sip:{user}@{domain}>\r\n"
        f"Call-ID: flood-{number}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n"
        f"Contact: <sip:{user}@{source}>\r\nContent-Length: 0\r\n\r\n"
    ).encode()


class Crowd:
    """Connections that are held open as long as they are let, silent, chatting or dripping."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._until = time.perf_counter() + arguments.seconds
        self._opening = asyncio.Semaphore(_OPENING)
        self._counts: Counter[str] = Counter()
        self._open = 0

    async def run(self) -> None:
        """Holds all of them until the time is over."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._arguments.connections):
                group.create_task(self._hold(number))
        sys.stdout.write(f"most open {self._counts['most']}, opened {self._counts['opened']}\n")

    async def _hold(self, number: int) -> None:
        while (left := self._until - time.perf_counter()) > 0:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(left):
                    await self._hold_once(number)
            left = self._until - time.perf_counter()
            await asyncio.sleep(max(0.0, min(_AGAIN_S, left)))

    async def _hold_once(self, number: int) -> None:
        source = address(number % self._arguments.addresses)
        async with self._opening, asyncio.timeout(_PATIENCE_S):
            reader, writer = await asyncio.open_connection(
                self._arguments.host, self._arguments.port, local_addr=(source, 0)
            )
        self._counts["opened"] += 1
        self._open += 1
        self._counts["most"] = max(self._counts["most"], self._open)
        drip = asyncio.create_task(_drip(writer, number % 3))
        try:
            while await reader.read(4096):
                pass
        finally:
            drip.cancel()
            self._open -= 1
            writer.transport.abort()


async def _drip(writer: asyncio.StreamWriter, kind: int) -> None:
    text = b"INVITE sip:1001@demo.localhost SIP/2.0\r\nSubject: " + b"x" * 4096
    for at in range(len(text)):
        if kind == 1:
            writer.write(b"\r\n\r\n")
        elif kind == 2:
            writer.write(text[at : at + 1])
        await asyncio.sleep(_DRIP_S)


def main() -> None:
    """Reads the arguments and attacks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("flood", "crowd"))
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--domain", default="demo.localhost")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("--addresses", type=int, required=True)
    parser.add_argument("--connections", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    arguments = parser.parse_args()
    if arguments.kind == "flood":
        flood(arguments)
    else:
        asyncio.run(Crowd(arguments).run())


if __name__ == "__main__":
    main()
