"""Which licences a crate may have (`tools/check_licences.py`)."""

import runpy
from pathlib import Path

import pytest

_TOOL = Path(__file__).parents[3] / "tools" / "check_licences.py"
is_allowed = runpy.run_path(str(_TOOL))["is_allowed"]


@pytest.mark.parametrize(
    "expression",
    [
        "MIT",
        "MIT/Apache-2.0",
        "Unlicense OR MIT",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR MPL-2.0",
    ],
)
def test_one_of_the_alternatives_is_enough(expression: str) -> None:
    assert is_allowed(expression)


@pytest.mark.parametrize(
    "expression",
    ["GPL-3.0", "none", "MIT AND GPL-3.0", "(GPL-2.0 OR MPL-2.0) AND MIT", "MIT AND (GPL-2.0)"],
)
def test_all_that_is_due_at_once_has_to_be_allowed(expression: str) -> None:
    assert not is_allowed(expression)
