import shutil
from pathlib import Path

import pytest

from parley.mediaengine.build import StaleBuild, check

SOURCES = Path(__file__).parents[3] / "libs/mediaengine"


def copy(to: Path) -> Path:
    ignore = shutil.ignore_patterns("target", "__pycache__")
    return Path(shutil.copytree(SOURCES, to / "mediaengine", ignore=ignore))


def test_the_sources_of_the_build_pass(tmp_path: Path) -> None:
    check(copy(tmp_path))


@pytest.mark.parametrize("name", ["core/src/gate.rs", "python/parley/mediaengine/_engine.pyi"])
def test_a_changed_source_is_a_stale_build(tmp_path: Path, name: str) -> None:
    sources = copy(tmp_path)
    (sources / name).write_text("// changed")
    with pytest.raises(StaleBuild, match="uv pip install"):
        check(sources)


def test_without_sources_nothing_is_checked(tmp_path: Path) -> None:
    check(tmp_path / "absent")
