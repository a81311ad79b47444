"""Events survive the bus: round trips, newer producers and garbage."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.model.call import (
    CallRecord,
    CallResult,
    EndedBy,
    LegRecord,
    MediaRecord,
    Termination,
)
from parley.model.errors import MalformedEvent
from parley.model.events import (
    EVENT_TYPES,
    CallAnswered,
    CallEnded,
    CallProgress,
    CdrCreated,
    ConfigAction,
    ConfigChange,
    ConfigChanged,
    ConfigKind,
    Event,
    RegistrationAdded,
    UnknownEvent,
    decode_event,
    encode_event,
)
from parley.model.ids import CallId, InstanceId, TenantId
from parley.model.registration import Binding

_START = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
_ATTRIBUTES: dict[str, Any] = {
    "id": "e1",
    "source": "callmanager-1",
    "time": _START,
    "subject": "c1",
    "tenantid": TenantId("t1"),
    "sequence": 7,
}


def _record() -> CallRecord:
    return CallRecord(
        call_id=CallId("c1"),
        tenant_id=TenantId("t1"),
        caller="1001",
        callee="1002",
        dialled="1002",
        started_at=_START,
        ringing_at=_START + timedelta(seconds=1),
        answered_at=_START + timedelta(seconds=3),
        ended_at=_START + timedelta(seconds=13.5),
        duration_s=10.5,
        termination=Termination(
            result=CallResult.ANSWERED, reason="hangup", sip_status=200, by=EndedBy.CALLER
        ),
        legs=[
            LegRecord(
                leg="a",
                party="1001",
                sip_call_id="x@y",
                edge=InstanceId("edge-1"),
                started_at=_START,
                ended_at=_START + timedelta(seconds=13.5),
                sip_status=200,
            )
        ],
        media=[MediaRecord(leg="a", packets_received=500, bytes_received=86_000, jitter_ms=0.25)],
    )


def _events() -> list[Event]:
    progress = CallProgress(
        call_id=CallId("c1"),
        caller="1001",
        callee="1002",
        dialled="1002",
        started_at=_START,
        owner=InstanceId("callmanager-1"),
    )
    binding = Binding(
        aor="sip:1001@demo.localhost",
        contact="sip:1001@127.0.0.1:5070",
        path=["<sip:token@edge;lr>"],
        expires_at=1_777_890_000.0,
        instance_id="<urn:uuid:0>",
        reg_id=1,
        call_id="r1",
        cseq=2,
        user_agent="phone",
        edge=InstanceId("edge-1"),
        source="127.0.0.1",
    )
    change = ConfigChange(kind=ConfigKind.EXTENSION, action=ConfigAction.UPDATED, ids=["x1"])
    return [
        CallAnswered(**_ATTRIBUTES, data=progress),
        CallEnded(**_ATTRIBUTES, data=_record()),
        CdrCreated(**_ATTRIBUTES, data=_record()),
        RegistrationAdded(**_ATTRIBUTES, data=binding),
        ConfigChanged(**_ATTRIBUTES, data=change),
    ]


@pytest.mark.parametrize("event", _events(), ids=lambda event: event.type)
def test_event_survives_a_round_trip(event: Event) -> None:
    assert decode_event(encode_event(event)) == event


def test_event_is_a_cloudevents_object_with_its_payload_under_data() -> None:
    wire = msgspec.json.decode(encode_event(_events()[1]))

    assert {key: wire[key] for key in ("specversion", "type", "id", "source", "subject")} == {
        "specversion": "1.0",
        "type": "call.ended",
        "id": "e1",
        "source": "callmanager-1",
        "subject": "c1",
    }
    assert wire["time"] == "2026-05-04T10:00:00Z"
    assert (wire["tenantid"], wire["sequence"]) == ("t1", 7)
    assert wire["data"]["termination"]["result"] == "answered"
    assert wire["data"]["duration_s"] == 10.5


def test_all_types_of_the_contract_are_known() -> None:
    assert {
        "call.started",
        "call.ringing",
        "call.answered",
        "call.updated",
        "call.ended",
        "cdr.created",
        "registration.added",
        "registration.refreshed",
        "registration.removed",
        "registration.expired",
        "config.changed",
    } == EVENT_TYPES


def test_unknown_type_is_kept_as_it_came() -> None:
    wire = {
        "specversion": "1.0",
        "type": "queue.joined",
        "id": "e9",
        "source": "contactcenter-1",
        "time": "2026-05-04T10:00:00Z",
        "subject": "q1",
        "tenantid": "t1",
        "sequence": 3,
        "data": {"queue": "sales", "position": [1, 2]},
    }

    event = decode_event(msgspec.json.encode(wire))

    assert isinstance(event, UnknownEvent)
    assert event.type == "queue.joined"
    assert (event.subject, event.tenantid, event.sequence) == ("q1", "t1", 3)
    assert msgspec.json.decode(encode_event(event)) == wire


def test_unknown_fields_of_a_known_event_are_ignored() -> None:
    wire = msgspec.json.decode(encode_event(_events()[0]))
    wire["traceparent"] = "00-1"
    wire["data"]["mood"] = "good"

    assert decode_event(msgspec.json.encode(wire)) == _events()[0]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not an event"),
        (b"\xff\xfe", "not an event"),
        (b"[]", "not an event"),
        (b'{"type":"call.ended"}', "not an event"),
        (b'{"type":5,"id":"1","source":"s","time":"2026-05-04T10:00:00Z"}', "not an event"),
        (b'{"type":"x","id":"1","source":"s","time":"2026-05-04T10:00:00"}', "not an event"),
        (b"[" * 10_000, "not an event"),
    ],
)
def test_what_is_no_event_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(MalformedEvent, match=says):
        decode_event(data)


def test_known_type_with_a_wrong_payload_is_refused_and_named() -> None:
    wire = msgspec.json.decode(encode_event(_events()[1]))
    del wire["data"]["termination"]

    with pytest.raises(MalformedEvent, match=r"malformed call\.ended.*termination"):
        decode_event(msgspec.json.encode(wire))


@given(st.data())
def test_mutated_bytes_are_an_event_or_refused(data: st.DataObject) -> None:
    wire = bytearray(encode_event(data.draw(st.sampled_from(_events()))))
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        event = decode_event(bytes(wire))
    except MalformedEvent:
        return
    assert decode_event(encode_event(event)) == event
