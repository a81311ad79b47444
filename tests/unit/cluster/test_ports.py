"""Ports that a cluster picks for itself are nobody else's."""

import pytest
from tests.cluster import ports

from parley.service.errors import StartError


@pytest.fixture(autouse=True)
def two_ports(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two free ports are all that there is to choose from."""
    monkeypatch.setattr(ports, "_given", set())
    found = [ports.free_port(), ports.free_port()]
    monkeypatch.setattr(ports, "_given", set())
    monkeypatch.setattr(ports, "_RANGE", range(min(found), max(found) + 1, max(found) - min(found)))
    return found


def test_no_port_is_given_twice(two_ports: list[int]) -> None:
    assert {ports.free_port(), ports.free_port()} == set(two_ports)


def test_a_port_that_was_promised_is_given_to_nobody(two_ports: list[int]) -> None:
    first, second = two_ports
    ports.withhold(first)

    assert ports.free_port() == second


def test_when_no_port_is_left_the_start_is_refused(two_ports: list[int]) -> None:
    ports.withhold(*two_ports)
    with pytest.raises(StartError, match="No free port"):
        ports.free_port()
