"""One process at a time works in a data folder."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from parley.allinone.data_folder import DataFolder
from parley.service.errors import StartError

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = ["demo.localhost"]


async def test_secrets_are_the_same_every_time(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        folder = DataFolder(tmp_path / "new" / "data")
        found.append(folder.open(NAMES, NOW))
        assert folder.is_ready()
        await folder.aclose()
        assert not folder.is_ready()
    assert found[0] == found[1]


async def test_a_second_one_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path), DataFolder(tmp_path)
    before = first.open(NAMES, NOW).certificate.read_bytes()
    with pytest.raises(StartError, match=r"^Another process uses the data folder .*\.$"):
        second.open([*NAMES, "other.test"], NOW)
    assert (tmp_path / "secrets" / "sip.crt").read_bytes() == before
    await first.aclose()
    second.open(NAMES, NOW)
    await second.aclose()


@pytest.mark.parametrize("below", ["file", "file/data"])
def test_what_is_no_folder_is_refused_in_one_sentence(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    folder = DataFolder(tmp_path / below)
    with pytest.raises(StartError, match=r"cannot be used: [A-Z].*\.$"):
        folder.open(NAMES, NOW)
    assert not folder.is_ready()


def test_secrets_that_cannot_be_made_let_the_folder_go(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("in the way")
    with pytest.raises(StartError, match="cannot be used"):
        DataFolder(tmp_path).open(NAMES, NOW)
    (tmp_path / "secrets").unlink()
    DataFolder(tmp_path).open(NAMES, NOW)
