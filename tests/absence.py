"""What a machine lacks for a test: one word on it for the whole tree."""

import os
from typing import NoReturn

import pytest


def give_up(reason: str) -> NoReturn:
    """Skips the test; fails it in continuous integration, where nothing may be lacking."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
