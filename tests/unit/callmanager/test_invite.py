"""What a caller can write that the callee's phone sees."""

from typing import Any

import pytest

from parley.callmanager.invite import InviteTemplate, make_identity
from parley.callmanager.routing import Target
from parley.callmanager.sip_profile import SipProfile
from parley.model.ids import CallId
from parley.sip.headers import parse_name_addr
from parley.sip.message import Request

PROFILE = SipProfile(CallId("call1"), "<sip:call1@demo.test>", "Parley")


def shown_name(from_: str, name: str = "") -> str:
    request = Request("INVITE", "sip:1002@demo.test")
    request.add("from", f"{from_};tag=1")
    identity = make_identity(request, caller="1001", name=name, callee="1002", domain="demo.test")
    shown = parse_name_addr(identity.from_)
    assert shown.uri_text == "sip:1001@demo.test"
    return shown.display_name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alert-info", "<http://x.example>;info=alert-autoanswer"),
        ("call-info", "<sip:x.example>;answer-after=0"),
        ("answer-mode", "Auto;require"),
        ("priv-answer-mode", "Auto"),
        ("p-auto-answer", "normal"),
        ("x-auto-answer", "true"),
        ("priority", "emergency"),
        ("request-disposition", "no-fork"),
        ("error-info", "<http://x.example/sorry.wav>"),
        ("reply-to", "<sip:900@x.example>"),
        ("organization", "Your bank"),
        ("warning", '399 x.example "call 900"'),
        ("p-early-media", "sendrecv"),
        ("supported", "answermode"),
        ("user-agent", "x"),
        ("x-made-up", "1"),
    ],
)
def test_a_caller_commands_no_phone_and_is_nobody_else(play: Any, name: str, value: str) -> None:
    request = play(**{name.replace("-", "_"): value}).requests("INVITE")[0].request
    assert not any(value in line for line in request.get_all(name))


@pytest.mark.parametrize("name", ["subject", "accept-language", "session-id", "user-to-user"])
def test_a_few_headers_mean_the_same_to_both_phones(play: Any, name: str) -> None:
    request = play(**{name.replace("-", "_"): "abc"}).requests("INVITE")[0].request
    assert request.get(name) == "abc"


def test_what_passes_is_short_and_little(play: Any) -> None:
    stage = play(subject="x" * 600)
    assert not stage.requests("INVITE")[0].request.has("subject")
    template = InviteTemplate(many_subjects(stage.invite), stage.call.setup.identity, PROFILE, 1)
    request = template.build(Target("sip:1002@192.0.2.2", (), ""), "id", "tag", b"")
    assert len(request.get_all("subject")) == 8


def many_subjects(invite: Request) -> Request:
    copy = invite.copy()
    copy.extend("subject", map(str, range(100)))
    return copy


@pytest.mark.parametrize(
    "headers",
    [
        {"privacy": "id"},
        {"privacy": "user; header"},
        {"privacy": "Header;critical"},
        {"from": '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=atag'},
        {"from": "<sip:thisis@anonymous.invalid>;tag=atag"},
        {"from": "<sip:unavailable@unknown.invalid>;tag=atag"},
        {"from": "sip:Anonymous@demo.test;tag=atag", "privacy": "none"},
    ],
)
def test_a_caller_who_wants_to_be_hidden_is_anonymous(play: Any, headers: dict[str, str]) -> None:
    asserted = "<sip:1001@demo.test>"
    stage = play(**headers, p_asserted_identity=asserted)
    request = stage.requests("INVITE")[0].request
    assert request.from_.uri_text == "sip:anonymous@anonymous.invalid"
    assert request.from_.display_name == "Anonymous"
    # For the edge, which withholds the identity then; inside it stays known.
    assert request.get_all("privacy") == ["id"]
    assert request.get("p-asserted-identity") == asserted
    stage.answer(stage.requests("INVITE")[0], 486)
    assert stage.records[0].caller == "1001"


@pytest.mark.parametrize("privacy", ["none", "session", "history"])
def test_other_wishes_for_privacy_hide_nobody(play: Any, privacy: str) -> None:
    request = play(privacy=privacy).requests("INVITE")[0].request
    assert request.from_.uri_text == "sip:1001@demo.test"
    assert not request.has("privacy")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Ann", "Ann"),
        ("Ännchen 2", "Ännchen 2"),
        ("1001", "1001"),
        ("110", ""),
        ("+49 (30) 110", ""),
        ("\u0661\u0661\u0660", ""),
        ("bank@example.com", ""),
        ("x" * 65, ""),
        ("a\tb", ""),
        ("\u202e011", ""),
    ],
)
def test_a_written_name_is_shown_unless_it_passes_for_a_number(written: str, shown: str) -> None:
    assert shown_name(f'"{written}" <sip:1001@demo.test>') == shown


def test_the_name_that_the_tenant_gave_comes_first() -> None:
    assert shown_name('"Chief" <sip:1001@demo.test>', "Ann") == "Ann"
