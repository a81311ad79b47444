"""What becomes of a call whose record is claimed; the state between is a fake."""

from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from parley.backing.state.base import Claimed
from parley.callmanager.call_services import CallServices
from parley.callmanager.calls import Calls
from parley.callmanager.metrics import CallManagerMetrics
from parley.callmanager.orphans import OrphanCloser
from parley.callmanager.restorer import Restorer
from parley.callmanager.snapshot import encode_snapshot
from parley.model.ids import CallId, InstanceId
from parley.service.metrics import Registry
from parley.testkit.clock import FakeClock
from parley.testkit.ids import CountingIds

from .stage import Stage

CALL = CallId("call-1")
ME = InstanceId("cm-2")


class Record:
    """The store with one call of an instance that is gone.

    Attributes:
        written: what that one writes after we looked and before we claim.
    """

    def __init__(self, snapshot: bytes) -> None:
        self.value = self.written = snapshot
        self.claims = 0

    async def snapshot(self, call_id: CallId) -> bytes:
        return self.value

    async def claim(self, call_id: CallId, epoch: int, started_s: float) -> Claimed:
        self.claims += 1
        self.value = self.written
        return Claimed(epoch + 1, self.value)


@pytest.fixture
def record(talking: Stage) -> Record:
    return Record(encode_snapshot(talking.call))


@pytest.fixture
def restorer(record: Record, metrics: CallManagerMetrics, calls: Calls) -> Restorer:
    services = SimpleNamespace(store=record, clock=FakeClock(), metrics=metrics)
    return Restorer(
        cast(CallServices, services),
        calls,
        cast(OrphanCloser, None),
        instance=ME,
        product="Parley",
        ids=CountingIds(),
    )


def newer(snapshot: bytes) -> bytes:
    return msgspec.msgpack.encode({**msgspec.msgpack.decode(snapshot), "version": 99})


async def test_a_snapshot_that_cannot_be_read_is_not_claimed(
    restorer: Restorer, record: Record
) -> None:
    record.value = newer(record.value)

    assert not await restorer.take(CALL, 1, "cm-1", started_s=0.0)

    assert restorer.is_unreadable(CALL)
    assert not record.claims


async def test_a_call_is_not_taken_when_what_was_written_meanwhile_cannot_be_read(
    restorer: Restorer, record: Record, calls: Calls, registry: Registry
) -> None:
    record.written = newer(record.value)

    assert not await restorer.take(CALL, 1, "cm-1", started_s=0.0)

    assert restorer.is_unreadable(CALL)
    assert calls.get(CALL) is None
    assert registry.value("parley_callmanager_calls_not_restored_total") == 1
