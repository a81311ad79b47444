"""A platform of its own: mutated INVITEs make calls that no other test shall count."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from parley.testkit.phones.line import Line
from parley.testkit.phones.ports import reserve_ports
from parley.testkit.phones.raw_phone import RawPhone
from parley.testkit.platform.running import Platform, Topology

_RTP_PORTS = 2000
_SETTINGS = {
    "PARLEY_EDGEPROXY_AUTH_FAILURES": "0",
    "PARLEY_EDGEPROXY_AUTH_USER_FAILURES": "0",
    "PARLEY_CALLMANAGER_HANG_UP_S": "1",
    "PARLEY_DRAIN_S": "3",
}

MakePhone = Callable[..., RawPhone]


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Its log is judged when it stops."""
    # Some mutated INVITEs are good enough: their calls ring and hold ports until they time out.
    first = reserve_ports(_RTP_PORTS, align=2)
    settings = {**_SETTINGS, "PARLEY_RTP_PORTS": f"{first}-{first + _RTP_PORTS - 1}"}
    folder = tmp_path_factory.mktemp("platform-malformed")
    running = Platform(Topology.ALLINONE, folder, settings=settings)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def process(platform: Platform) -> psutil.Process:
    """The platform as the operating system sees it."""
    data = str(platform.folder / "data")
    [found] = [
        child for child in psutil.Process().children() if child.environ().get("PARLEY_DATA") == data
    ]
    return found


@pytest.fixture
def make_phone(platform: Platform) -> Iterator[MakePhone]:
    """Phones of the demo tenant's own extensions, by number."""
    phones: list[RawPhone] = []

    def make(number: str) -> RawPhone:
        [line] = [each for each in platform.demo.lines if each.number == number]
        phones.append(RawPhone(line, platform.demo.sip))
        return phones[-1]

    yield make
    for phone in phones:
        phone.close()


@pytest.fixture
def stranger(platform: Platform) -> Iterator[RawPhone]:
    """A phone that nobody knows."""
    line = Line("7777", "no-password", platform.demo.domain)
    with RawPhone(line, platform.demo.sip) as phone:
        yield phone


@pytest.fixture
def bystander(platform: Platform) -> Iterator[RawPhone]:
    """Another one, which hears no late answer to what the stranger has sent."""
    line = Line("7778", "no-password", platform.demo.domain)
    with RawPhone(line, platform.demo.sip) as phone:
        yield phone


@pytest.fixture(scope="session")
def log(platform: Platform) -> Path:
    """What the platform writes."""
    return platform.folder / "allinone.log"
