"""The page about the event stream says what the code does."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from parley.model.events import EVENT_TYPES, ConfigChange
from parley.model.public_events import (
    PublicCall,
    PublicEndedCall,
    PublicRegistration,
)
from parley.wsigateway import messages
from parley.wsigateway.connection import CloseCode
from parley.wsigateway.messages import decode_message
from parley.wsigateway.settings import WsiGatewaySettings
from parley.wsigateway.subscriptions import TOPICS

_PAGE = (Path(__file__).parents[3] / "docs/api/wsi.md").read_text()
_GATEWAY = (
    messages.Authenticated
    | messages.Subscribed
    | messages.Pong
    | messages.GoingAway
    | messages.Error
)
_DATA = {"call.answered": PublicCall, "registration.added": PublicRegistration,
         "config.changed": ConfigChange}  # fmt: skip


def _examples(kind: str) -> Iterator[str]:
    return iter(re.findall(rf"```json {kind}\n(.*?)```", _PAGE, re.DOTALL))


def _first_column(heading: str) -> list[str]:
    table = _PAGE[_PAGE.index(heading) :].partition("\n\n")[0].splitlines()[2:]
    return [row.split("|")[1].strip().strip("`") for row in table]


def test_every_message_of_a_client_is_shown_and_understood() -> None:
    shown = {type(decode_message(text)) for text in _examples("client")}

    assert shown == {messages.Auth, messages.Subscribe, messages.Unsubscribe, messages.Ping}


def test_every_message_of_the_gateway_is_shown_as_it_is() -> None:
    shown = [msgspec.json.decode(text, type=_GATEWAY) for text in _examples("gateway")]

    assert {type(message) for message in shown} == set(_GATEWAY.__args__)
    for text, message in zip(_examples("gateway"), shown, strict=True):
        assert json.loads(text) == json.loads(msgspec.json.encode(message))


def test_events_are_shown_with_the_fields_they_have() -> None:
    for text in _examples("event"):
        event: dict[str, Any] = json.loads(text)
        kind: Any = _DATA[event["type"]]
        assert list(event["data"]) == list(kind.__struct_fields__)
        msgspec.convert(event["data"], kind)
    for name in set(PublicEndedCall.__struct_fields__) - set(PublicCall.__struct_fields__):
        assert f"`{name}`" in _PAGE


def test_topics_event_types_close_codes_and_settings_are_all_named() -> None:
    assert tuple(_first_column("| topic |")) == TOPICS
    assert set(re.findall(r"`((?:call|registration|cdr|config)\.[a-z]+)`", _PAGE)) >= EVENT_TYPES
    assert _first_column("| close code |") == [str(int(code)) for code in CloseCode]
    found = re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", _PAGE)
    named = {name.removeprefix("PARLEY_WSIGATEWAY_") for name in found}
    assert named <= {name.upper() for name in WsiGatewaySettings.model_fields}
