"""Blobs on a local disk: what its folders add to the contract."""

from pathlib import Path

import pytest

from parley.backing.blobs.embedded import LocalBlobs
from parley.backing.errors import BlobNotFound


async def test_nothing_lies_below_a_blob(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    await blobs.start()
    await blobs.put("a/b", b"1")

    with pytest.raises(BlobNotFound):
        await blobs.get("a/b/c")
    assert await blobs.stat("a/b/c") is None
    assert not await blobs.delete("a/b/c")
    assert [info.key for info in await blobs.list()] == ["a/b"]
    await blobs.aclose()
