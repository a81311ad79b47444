"""Addresses and names that the Kafka adapter takes, and how settings choose it."""

from pathlib import Path

import pytest

from parley.backing.bus.kafka import KafkaBus
from parley.backing.bus.kafka_options import KafkaOptions, servers_of
from parley.backing.factory import Port, create_backing
from parley.backing.settings import BackingSettings
from parley.service.errors import SettingsError
from parley.service.metrics import Registry
from parley.testkit.clock import FakeClock


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("kafka://a:9092", ("a:9092",)),
        ("kafka://a:9092, b.example:19092", ("a:9092", "b.example:19092")),
        ("kafka://[::1]:9092", ("[::1]:9092",)),
    ],
)
def test_servers_are_read_from_the_url(url: str, servers: tuple[str, ...]) -> None:
    assert servers_of(url) == servers


@pytest.mark.parametrize(
    "url", ["", "a:9092", "http://a:9092", "kafka://", "kafka://a", "kafka://a:9092,"]
)
def test_another_form_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(SettingsError, match="kafka://host:port"):
        BackingSettings.load(bus_url=url)


def test_topics_and_groups_carry_the_prefix() -> None:
    options = KafkaOptions(("a:1",), prefix="test-")
    assert options.full_name("call.dead") == "test-call.dead"
    for name in ("a b", "a/b", "ä", "x" * 300):
        with pytest.raises(ValueError, match="no name"):
            options.full_name(name)


async def test_settings_choose_kafka(tmp_path: Path) -> None:
    settings = BackingSettings.load(data=tmp_path, bus="kafka", bus_url="kafka://127.0.0.1:1")
    assert isinstance(create_backing(Port.BUS, settings, FakeClock(), Registry()).bus, KafkaBus)
