"""Installations that end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parley.testkit.phones.ports import serial
from parley.testkit.platform.installation import Installation

MakeInstallation = Callable[[], Installation]


@pytest.fixture
def make_installation(tmp_path: Path) -> Iterator[MakeInstallation]:
    made: list[Installation] = []

    def make() -> Installation:
        folder = tmp_path / f"installation-{serial()}"
        folder.mkdir()
        made.append(Installation(folder))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def installation(make_installation: MakeInstallation) -> Installation:
    return make_installation()
