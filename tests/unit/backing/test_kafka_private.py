"""What the bus uses of aiokafka behind its back."""

import pytest

from parley.backing.bus import kafka_private
from parley.service.errors import StartError


def test_the_installed_library_has_every_private_name_that_is_used() -> None:
    kafka_private.check()


def test_a_library_without_them_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def other_library() -> None:
        """Sets nothing."""

    monkeypatch.setattr(kafka_private, "_SET_IN", ((other_library, ("_sender",)),))
    with pytest.raises(StartError, match="aiokafka .* has no _sender"):
        kafka_private.check()
