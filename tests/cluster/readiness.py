"""Asks a process over HTTP whether it is ready."""

import asyncio
from contextlib import suppress

_TIMEOUT_S = 2.0
_MAX_BYTES = 65_536


async def http_status(host: str, port: int, path: str) -> tuple[int, str]:
    """Gets a small page; returns its status and body.

    Raises:
        OSError: nobody listens, or the answer is none of HTTP.
        TimeoutError: it takes too long.
    """
    async with asyncio.timeout(_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            writer.write(request.encode("ascii"))
            head, _, body = (await reader.read(_MAX_BYTES)).partition(b"\r\n\r\n")
            while part := await reader.read(_MAX_BYTES):
                body += part
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
    words = head.split(maxsplit=2)
    if len(words) < 2 or not words[1].isdigit():
        raise OSError("no HTTP answer")
    return int(words[1]), body.decode("utf-8", "replace")


async def is_ready(host: str, port: int) -> bool:
    """Says whether the process with this health port takes work."""
    try:
        status, _ = await http_status(host, port, "/readyz")
    except (OSError, TimeoutError):
        return False
    return status == 200
