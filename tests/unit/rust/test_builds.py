"""Rust packages that were built from other sources are noticed."""

import shutil
from pathlib import Path

import pytest
from tests.rust_builds import StaleBuild, check

from parley.mediaengine import _engine
from parley.sipcore import _core

_LIBS = Path(__file__).parents[3] / "libs"
_PACKAGES = {"mediaengine": _engine.SOURCES, "sipcore": _core.SOURCES}


def copy(name: str, to: Path) -> Path:
    ignore = shutil.ignore_patterns("target", "__pycache__")
    return Path(shutil.copytree(_LIBS / name, to / name, ignore=ignore))


@pytest.mark.parametrize("name", _PACKAGES)
def test_the_sources_of_the_build_pass(tmp_path: Path, name: str) -> None:
    check(copy(name, tmp_path), _PACKAGES[name])


@pytest.mark.parametrize("changed", ["core/src/lib.rs", "py/src/lib.rs"])
@pytest.mark.parametrize("name", _PACKAGES)
def test_a_changed_source_is_a_stale_build(tmp_path: Path, name: str, changed: str) -> None:
    sources = copy(name, tmp_path)
    (sources / changed).write_text("// changed")
    with pytest.raises(StaleBuild, match="uv pip install"):
        check(sources, _PACKAGES[name])


def test_without_sources_nothing_is_checked(tmp_path: Path) -> None:
    check(tmp_path / "absent", "")
