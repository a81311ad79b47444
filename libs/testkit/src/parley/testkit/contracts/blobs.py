"""What every adapter of the blob port does."""

from collections.abc import AsyncIterator

from parley.backing.blobs.base import Blobs, ByteRange
from parley.backing.errors import BlobKeyError, BlobNotFound
from parley.testkit.contracts.arms import Arm, Behaviour, refuses

KEY = "recordings/t1/call-1.wav"
UNFIT_KEYS = (
    "", "/etc/passwd", "../secret", "a/../b", "a//b", "a/", ".hidden", "a/.tmp", "a\\b", "a\x00b",
    "a\nb", "x" * 300, "/".join(["x" * 200] * 6), "\udcff",
)  # fmt: skip


async def _read(blobs: Blobs, key: str, span: ByteRange | None = None) -> bytes:
    return b"".join([chunk async for chunk in await blobs.get(key, span)])


async def a_blob_is_read_as_it_was_written(arm: Arm[Blobs]) -> None:
    """From bytes, from pieces, from a stream; also an empty one; the last write wins."""
    blobs = await arm.open()

    async def stream() -> AsyncIterator[bytes]:
        for piece in (b"one", b"", b"two"):
            yield piece

    assert (await blobs.put(KEY, b"abc")).size_bytes == 3
    assert await _read(blobs, KEY) == b"abc"
    await blobs.put(KEY, (b"a", b"b"))
    assert await _read(blobs, KEY) == b"ab"
    await blobs.put(KEY, stream())
    assert await _read(blobs, KEY) == b"onetwo"
    await blobs.put(KEY, b"")
    assert await _read(blobs, KEY) == b""


async def a_large_blob_comes_in_chunks(arm: Arm[Blobs]) -> None:
    """Nobody holds all of it in memory."""
    blobs = await arm.open()
    piece = bytes(range(256)) * 1024
    await blobs.put(KEY, (piece for _ in range(5)))
    chunks = [chunk async for chunk in await blobs.get(KEY)]
    assert b"".join(chunks) == piece * 5
    assert max(map(len, chunks)) < len(piece) * 5


async def a_blob_of_several_parts_is_whole(arm: Arm[Blobs]) -> None:
    """However it is cut: the stream's pieces, the store's parts and the reader's chunks differ."""
    blobs = await arm.open()
    piece = bytes(range(251)) * 4001
    info = await blobs.put(KEY, (piece for _ in range(9)))
    assert info.size_bytes == 9 * len(piece)
    cut = ByteRange(len(piece) * 7 + 17, len(piece) * 9 - 5)
    assert await _read(blobs, KEY, cut) == (piece * 9)[cut.start : cut.stop]
    assert await _read(blobs, KEY) == piece * 9


async def keys_keep_their_characters(arm: Arm[Blobs]) -> None:
    """What is printable and no slash is text, not syntax."""
    blobs = await arm.open()
    keys = sorted(("a+b c", "a%2Fb", "ü/%41~*?#[x]{}^`|<>.wav", "a=b&c;d:e@f,g'h!i(j)$k", "日本/é"))
    for key in keys:
        await blobs.put(key, key.encode())
    assert [info.key for info in await blobs.list()] == keys
    for key in keys:
        assert await _read(blobs, key) == key.encode()
        assert await blobs.delete(key)
    assert await blobs.list() == []


async def a_range_is_read_alone(arm: Arm[Blobs]) -> None:
    """The end is not included; beyond the end there is nothing."""
    blobs = await arm.open()
    await blobs.put(KEY, b"0123456789")
    assert await _read(blobs, KEY, ByteRange(2, 5)) == b"234"
    assert await _read(blobs, KEY, ByteRange(7)) == b"789"
    assert await _read(blobs, KEY, ByteRange(8, 100)) == b"89"
    assert await _read(blobs, KEY, ByteRange(3, 3)) == b""
    assert await _read(blobs, KEY, ByteRange(50)) == b""
    for span in (ByteRange(-1, 2), ByteRange(5, 2)):
        with refuses(ValueError):
            await blobs.get(KEY, span)


async def a_blob_that_is_not_there_is_told_at_once(arm: Arm[Blobs]) -> None:
    """A folder is no blob."""
    blobs = await arm.open()
    await blobs.put(KEY, b"abc")
    for key in ("recordings/none", "recordings", "recordings/t1", "none/x"):
        with refuses(BlobNotFound):
            await blobs.get(key)
        assert await blobs.stat(key) is None
        assert not await blobs.delete(key)
    assert await _read(blobs, KEY) == b"abc"


async def a_broken_upload_leaves_nothing(arm: Arm[Blobs]) -> None:
    """What was there before stays."""
    blobs = await arm.open()
    await blobs.put(KEY, b"before")

    async def breaking() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionError("the uploader went away")

    async def breaking_late() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield bytes(1024 * 1024)
        raise ConnectionError("the uploader went away")

    for key, upload in (
        (KEY, breaking()),
        ("recordings/t1/new.wav", breaking()),
        ("recordings/t1/large.wav", breaking_late()),
    ):
        with refuses(ConnectionError):
            await blobs.put(key, upload)
    assert await _read(blobs, KEY) == b"before"
    assert [info.key for info in await blobs.list()] == [KEY]


async def blobs_are_listed_by_prefix(arm: Arm[Blobs]) -> None:
    """In the order of their keys; a prefix need not end at a slash."""
    blobs = await arm.open()
    for key in ("b/2", "b/10", "a/x/1", "b/1/deep", "c"):
        await blobs.put(key, key.encode())
    assert [info.key for info in await blobs.list()] == ["a/x/1", "b/1/deep", "b/10", "b/2", "c"]
    assert [info.key for info in await blobs.list("b/1")] == ["b/1/deep", "b/10"]
    assert [info.key for info in await blobs.list("b/", limit=1)] == ["b/1/deep"]
    assert await blobs.list("none/") == []
    info = await blobs.stat("b/10")
    assert info is not None and info.size_bytes == 4 and info == (await blobs.list("b/10"))[0]


async def a_deleted_blob_is_gone(arm: Arm[Blobs]) -> None:
    """And its place can be used in another way."""
    blobs = await arm.open()
    await blobs.put("a/b/c", b"1")
    assert await blobs.delete("a/b/c")
    assert not await blobs.delete("a/b/c")
    assert await blobs.list() == []
    await blobs.put("a", b"2")
    assert await _read(blobs, "a") == b"2"


async def unfit_keys_are_refused(arm: Arm[Blobs]) -> None:
    """Nothing outside the store can be named."""
    blobs = await arm.open()
    for key in UNFIT_KEYS:
        with refuses(BlobKeyError):
            await blobs.put(key, b"x")
        with refuses(BlobKeyError):
            await blobs.get(key)
        with refuses(BlobKeyError):
            await blobs.delete(key)
    assert await blobs.list() == []


async def blobs_outlive_the_process(arm: Arm[Blobs]) -> None:
    """A restart finds them."""
    blobs = await arm.open()
    await blobs.put(KEY, b"abc")
    await arm.close(blobs)
    blobs = await arm.open()
    assert await _read(blobs, KEY) == b"abc"


BEHAVIOURS: tuple[Behaviour[Blobs], ...] = (
    a_blob_is_read_as_it_was_written,
    a_large_blob_comes_in_chunks,
    a_blob_of_several_parts_is_whole,
    keys_keep_their_characters,
    a_range_is_read_alone,
    a_blob_that_is_not_there_is_told_at_once,
    a_broken_upload_leaves_nothing,
    blobs_are_listed_by_prefix,
    a_deleted_blob_is_gone,
    unfit_keys_are_refused,
    blobs_outlive_the_process,
)
