"""The blob port's contract on every adapter."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.cluster.servers.s3 import S3Server

from parley.backing.blobs.base import Blobs
from parley.backing.blobs.embedded import LocalBlobs
from parley.backing.blobs.s3 import S3Blobs
from parley.backing.blobs.s3_place import S3Place
from parley.service.clock import SystemClock
from parley.service.ids import RandomIds
from parley.testkit.clock import FakeClock
from parley.testkit.contracts.arms import Arm, Behaviour
from parley.testkit.contracts.blobs import BEHAVIOURS


def _embedded(_: pytest.FixtureRequest, folder: Path) -> Arm[Blobs]:
    clock = FakeClock()
    return Arm(lambda: LocalBlobs(folder / "blobs"), clock, clock.advance)


def _s3(request: pytest.FixtureRequest, _: Path) -> Arm[Blobs]:
    server: S3Server = request.getfixturevalue("s3_server")
    place = S3Place(
        url=f"s3://{server.bucket}/contract/{RandomIds().token()}",
        region=server.region,
        endpoint=server.url,
        key_id=server.access_key,
        key=server.secret_key,
    )

    def pass_time(_: float) -> None:
        raise AssertionError("no behaviour of blobs depends on time")

    return Arm(lambda: S3Blobs(place), SystemClock(), pass_time)


ARMS: dict[str, Callable[[pytest.FixtureRequest, Path], Arm[Blobs]]] = {
    "embedded": _embedded,
    "s3": _s3,
}


@pytest.fixture(params=ARMS)
async def arm(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Arm[Blobs]]:
    arm = ARMS[request.param](request, tmp_path)
    yield arm
    await arm.close_all()


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
async def test_blobs(behaviour: Behaviour[Blobs], arm: Arm[Blobs]) -> None:
    await behaviour(arm)
