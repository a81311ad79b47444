"""Blobs on S3 while the server fails, refuses, or is told the wrong thing."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.cluster.servers.s3 import S3Server

from parley.backing.blobs.s3 import S3Blobs
from parley.backing.blobs.s3_place import S3Place
from parley.backing.errors import BackingUnavailable
from parley.service.errors import StartError
from parley.service.ids import RandomIds

SHORT_S = 0.5
KEY = "recordings/t1/call-1.wav"

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def server(s3_server: S3Server) -> Iterator[S3Server]:
    """The server, which runs again after the test whatever that did to it."""
    yield s3_server
    if s3_server.is_running:
        s3_server.thaw()
    s3_server.start()


@pytest.fixture
def place(server: S3Server) -> S3Place:
    return S3Place(
        url=f"s3://{server.bucket}/outages/{RandomIds().token()}",
        region=server.region,
        endpoint=server.url,
        key_id=server.access_key,
        key=server.secret_key,
    )


async def _read(blobs: S3Blobs, key: str) -> bytes:
    return b"".join([chunk async for chunk in await blobs.get(key)])


async def test_after_a_kill_of_the_server_blobs_are_there_again(
    server: S3Server, place: S3Place
) -> None:
    blobs = S3Blobs(place)
    await blobs.start()
    await blobs.put(KEY, b"abc")

    server.kill()
    for operation in (blobs.put(KEY, b"x"), blobs.get(KEY), blobs.stat(KEY), blobs.list("rec")):
        with pytest.raises(BackingUnavailable):
            await operation
    with pytest.raises(BackingUnavailable):
        await blobs.delete(KEY)
    await asyncio.to_thread(server.start)

    assert await _read(blobs, KEY) == b"abc"
    await blobs.aclose()


async def test_a_frozen_server_costs_an_operation_a_bounded_time(
    server: S3Server, place: S3Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.backing.blobs.s3._REQUEST_TIMEOUT_S", SHORT_S)
    blobs = S3Blobs(place)
    await blobs.put(KEY, b"abc")

    async def pieces() -> AsyncIterator[bytes]:
        yield b"abc"
        server.freeze()
        yield b"def"

    async with asyncio.timeout(10 * SHORT_S):
        with pytest.raises(BackingUnavailable):
            await blobs.put(KEY, pieces())
        with pytest.raises(BackingUnavailable):
            await blobs.stat(KEY)
    server.thaw()

    assert await _read(blobs, KEY) == b"abc"


async def test_a_process_starts_while_the_store_is_away(server: S3Server, place: S3Place) -> None:
    server.kill()
    blobs = S3Blobs(place)
    await blobs.start()
    await asyncio.to_thread(server.start)

    assert (await blobs.put(KEY, b"abc")).size_bytes == 3


async def test_a_bucket_that_cannot_be_used_is_one_sentence(place: S3Place) -> None:
    with pytest.raises(StartError, match=r"^There is no bucket s3://nobodys\.$"):
        await S3Blobs(place._replace(url="s3://nobodys")).start()
    with pytest.raises(StartError, match=r"^The bucket .* may not be used with these keys\.$"):
        await S3Blobs(place._replace(key="wrong")).start()


async def test_a_listing_ends_where_the_prefix_does(place: S3Place) -> None:
    blobs = S3Blobs(place)
    for key in ("a/1", "a/10", "a/11", "a/2", "a1/1", "b"):
        await blobs.put(key, b"x")

    assert [info.key for info in await blobs.list("a/1")] == ["a/1", "a/10", "a/11"]
    assert [info.key for info in await blobs.list("a", limit=2)] == ["a/1", "a/10"]
    assert await blobs.list("a", limit=0) == []
