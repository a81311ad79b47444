"""What of an event leaves the platform."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from parley.model.call import CallRecord, CallResult, EndedBy, LegRecord, Termination
from parley.model.errors import MalformedEvent
from parley.model.events import (
    CallEnded,
    CallProgress,
    CallStarted,
    ConfigAction,
    ConfigChange,
    ConfigChanged,
    ConfigKind,
    Event,
    encode_event,
)
from parley.model.ids import CallId, InstanceId, TenantId
from parley.model.public_events import encode_public_event

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
OURS = "callmanager-7"


def _seen(kind: type[Event], data: object) -> dict[str, Any]:
    event = msgspec.convert(
        {
            "type": kind.__struct_config__.tag,
            "id": "e1",
            "source": OURS,
            "time": NOW,
            "subject": "c1",
            "tenantid": "acme",
            "sequence": 3,
            "data": data,
        },
        kind,
    )
    shown: dict[str, Any] = json.loads(encode_public_event(encode_event(event)))
    return shown


def _progress() -> CallProgress:
    return CallProgress(
        call_id=CallId("c1"), caller="101", dialled="102", started_at=NOW, owner=InstanceId(OURS)
    )


def _record() -> CallRecord:
    leg = LegRecord(
        leg="a", party="101", sip_call_id="x", edge=InstanceId(OURS), started_at=NOW, ended_at=NOW
    )
    return CallRecord(
        call_id=CallId("c1"),
        tenant_id=TenantId("acme"),
        caller="101",
        callee="102",
        dialled="102",
        started_at=NOW,
        ended_at=NOW,
        termination=Termination(
            result=CallResult.BUSY, reason="busy", sip_status=486, by=EndedBy.CALLEE
        ),
        legs=[leg],
    )


def test_no_event_names_an_instance_of_ours() -> None:
    change = ConfigChange(kind=ConfigKind.EXTENSION, action=ConfigAction.CREATED, ids=["x"])
    for kind, data in (
        (CallStarted, _progress()),
        (CallEnded, _record()),
        (ConfigChanged, change),
    ):
        assert OURS not in json.dumps(_seen(kind, data))


def test_events_of_a_call_begin_with_the_same_fields() -> None:
    started = _seen(CallStarted, _progress())
    ended = _seen(CallEnded, _record())

    assert list(started["data"]) == list(ended["data"])[: len(started["data"])]
    assert started["data"]["tenant_id"] == ended["data"]["tenant_id"] == "acme"
    assert started["data"]["started_at"] == "2026-11-01T12:00:00Z"
    assert (ended["type"], ended["sequence"], ended["source"]) == ("call.ended", 3, "/parley/call")


@pytest.mark.parametrize("data", [b"", b"{}", b'{"type":"secret.made","tenantid":"acme"}'])
def test_what_is_not_known_is_not_shown(data: bytes) -> None:
    with pytest.raises(MalformedEvent):
        encode_public_event(data)
