"""A flood and a crowd of strangers, scaled down: the phones notice nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.hostile.sip import SETTINGS, crowd, flood

from parley.testkit.platform.running import Platform, Topology

_GROWTH_MB = 60.0


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One that exempts nobody from its limits."""
    folder: Path = tmp_path_factory.mktemp("platform-hostile")
    running = Platform(Topology.ALLINONE, folder, ("127.0.0.1",), SETTINGS)
    try:
        yield running
    finally:
        running.stop()


async def test_phones_register_and_call_through_a_flood_of_forged_requests(
    platform: Platform,
) -> None:
    outcome = await flood(platform, 6_000, 1_500.0, 600)

    assert outcome.failures == []
    assert outcome.registrations > 12
    assert outcome.calls > 2
    before, peak, _ = outcome.rss_mb
    assert peak - before < _GROWTH_MB


async def test_phones_register_and_call_beside_a_crowd_of_idle_connections(
    platform: Platform,
) -> None:
    outcome = await crowd(platform, 600, 4, 4.0)

    assert outcome.failures == []
    assert outcome.registrations > 12
    assert outcome.calls > 2
