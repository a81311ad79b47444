"""Dialogs (RFC 3261 12): both sides, forks, route sets, targets, numbers, records."""

import json

import pytest

from parley.sip.dialog import Dialog, DialogId
from parley.sip.errors import LocalProtocolError, RemoteProtocolError
from parley.sip.message import Request, Response
from parley.testkit.sip_messages import make_request, make_response

ROUTES = ("<sip:edge1.test;lr>", "<sip:edge2.test;lr;x=1>, <sip:edge3.test;lr>")


def _invite() -> Request:
    invite = make_request(cseq=10)
    for route in ROUTES:
        invite.add("record-route", route)
    return invite


def _response(invite: Request, status: int, to_tag: str = "b1", contact: str = "") -> Response:
    response = make_response(
        invite, status, to_tag=to_tag, contact=contact or "<sip:bob@right.test:5060>"
    )
    for route in invite.get_all("record-route"):
        response.add("record-route", route)
    return response


def _uas(invite: Request | None = None) -> Dialog:
    return Dialog.uas(invite or _invite(), "local", "<sip:call1@tenant.test>")


def _uac(status: int = 200) -> Dialog:
    invite = _invite()
    return Dialog.uac(invite, _response(invite, status))


def test_the_uas_takes_its_state_from_the_invite() -> None:
    dialog = _uas()
    assert dialog.id == DialogId("call-1", "local", "a1")
    assert dialog.state.name == "EARLY"
    assert not dialog.is_uac
    assert dialog.remote_cseq == 10
    assert dialog.local_cseq is None
    assert dialog.remote_target == "sip:alice@left.test:5060"
    assert dialog.route_set == [
        "<sip:edge1.test;lr>",
        "<sip:edge2.test;lr;x=1>",
        "<sip:edge3.test;lr>",
    ]


def test_the_uac_takes_its_state_from_the_response_with_the_routes_turned_round() -> None:
    dialog = _uac()
    assert dialog.id == DialogId("call-1", "a1", "b1")
    assert dialog.state.name == "CONFIRMED"
    assert dialog.is_uac
    assert dialog.local_cseq == 10
    assert dialog.remote_cseq is None
    assert dialog.remote_target == "sip:bob@right.test:5060"
    assert dialog.route_set == [
        "<sip:edge3.test;lr>",
        "<sip:edge2.test;lr;x=1>",
        "<sip:edge1.test;lr>",
    ]


def test_a_request_carries_target_routes_tags_and_the_next_number() -> None:
    dialog = _uac()
    bye = dialog.new_request("BYE")
    assert bye.method == "BYE"
    assert bye.uri_text == "sip:bob@right.test:5060"
    assert bye.get_all("route") == dialog.route_set
    assert bye.get("from") == "Alice <sip:alice@example.com>;tag=a1"
    assert bye.get("to") == "<sip:bob@example.com>;tag=b1"
    assert str(bye.cseq) == "11 BYE"
    assert bye.call_id == "call-1"
    assert bye.max_forwards == 70
    assert not bye.has("contact")
    assert not bye.has("via")
    assert str(dialog.new_request("INFO").cseq) == "12 INFO"


def test_a_uas_begins_its_own_numbers_and_names_itself_in_target_refreshes() -> None:
    dialog = _uas()
    reinvite = dialog.new_request("INVITE")
    assert str(reinvite.cseq) == "1 INVITE"
    assert reinvite.get("contact") == "<sip:call1@tenant.test>"
    assert reinvite.get("from") == "<sip:bob@example.com>;tag=local"
    assert reinvite.to.tag == "a1"


def test_the_ack_has_the_number_of_its_invite() -> None:
    dialog = _uac()
    dialog.new_request("INFO")
    ack = dialog.new_ack(10)
    assert str(ack.cseq) == "10 ACK"
    assert ack.uri_text == "sip:bob@right.test:5060"
    assert ack.get_all("route") == dialog.route_set
    assert dialog.local_cseq == 11


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_requests_of_an_invite_are_not_numbered_here(method: str) -> None:
    with pytest.raises(LocalProtocolError):
        _uac().new_request(method)


@pytest.mark.parametrize(
    ("method", "number", "status", "remembered"),
    [
        ("BYE", 11, None, 11),
        ("BYE", 500, None, 500),
        ("BYE", 10, None, 10),
        ("BYE", 9, 500, 10),
        ("INFO", 1, 500, 10),
        ("ACK", 3, None, 10),
        ("CANCEL", 3, None, 10),
    ],
)
def test_requests_out_of_order_are_refused(
    method: str, number: int, status: int | None, remembered: int
) -> None:
    dialog = _uas()
    assert dialog.receive_request(make_request(method, cseq=number)) == status
    assert dialog.remote_cseq == remembered


def test_a_uac_accepts_any_first_number_of_its_peer() -> None:
    dialog = _uac()
    assert dialog.receive_request(make_request("BYE", cseq=1)) is None
    assert dialog.remote_cseq == 1


def test_the_target_follows_refreshes_and_the_routes_stay() -> None:
    dialog = _uas()
    routes = dialog.route_set
    update = make_request("UPDATE", cseq=11, contact="<sip:alice@new.test>")
    update.add("record-route", "<sip:other.test;lr>")
    dialog.refresh_target(update)
    assert dialog.remote_target == "sip:alice@new.test"
    assert dialog.route_set == routes

    dialog.refresh_target(make_request("BYE", cseq=12, contact="<sip:alice@ignored.test>"))
    assert dialog.remote_target == "sip:alice@new.test"
    silent = make_request("INVITE", cseq=13)
    silent.remove("contact")
    dialog.refresh_target(silent)
    assert dialog.remote_target == "sip:alice@new.test"


def test_the_2xx_replaces_routes_and_target_of_the_early_dialog() -> None:
    invite = _invite()
    dialog = Dialog.uac(invite, _response(invite, 180))
    assert dialog.state.name == "EARLY"
    final = make_response(invite, 200, contact="<sip:bob@answered.test>")
    final.add("record-route", "<sip:only.test;lr>")

    dialog.confirm(final)

    assert dialog.state.name == "CONFIRMED"
    assert dialog.route_set == ["<sip:only.test;lr>"]
    assert dialog.remote_target == "sip:bob@answered.test"
    dialog.confirm(_response(invite, 200))  # retransmitted 2xx change nothing any more
    assert dialog.route_set == ["<sip:only.test;lr>"]


def test_a_uas_dialog_is_confirmed_and_terminated() -> None:
    dialog = _uas()
    dialog.confirm()
    assert dialog.state.name == "CONFIRMED"
    dialog.terminate()
    assert dialog.state.name == "TERMINATED"
    assert dialog.new_request("BYE").method == "BYE"


def test_a_response_without_contact_leaves_the_target_it_was_sent_to() -> None:
    invite = _invite()
    response = _response(invite, 183)
    response.remove("contact")
    assert Dialog.uac(invite, response).remote_target == invite.uri_text


def test_a_strict_router_gets_itself_in_the_request_uri() -> None:
    invite = make_request()
    invite.add("record-route", "<sip:strict.test;transport=tcp;method=INVITE>")
    invite.add("record-route", "<sip:loose.test;lr>")
    dialog = _uas(invite)
    bye = dialog.new_request("BYE")
    assert bye.uri_text == "sip:strict.test;transport=tcp"
    assert bye.get_all("route") == ["<sip:loose.test;lr>", "<sip:alice@left.test:5060>"]
    assert dialog.next_hop_uri.host == "strict.test"


def test_the_next_hop_is_the_first_route_or_the_target() -> None:
    assert _uas().next_hop_uri.host == "edge1.test"
    assert _uas(make_request()).next_hop_uri.host == "left.test"


def test_peers_without_tags_are_tolerated() -> None:
    invite = make_request()
    invite.set("from", "<sip:old@x.test>")
    dialog = _uas(invite)
    assert dialog.id.remote_tag == ""
    assert dialog.new_request("BYE").get("to") == "<sip:old@x.test>"


@pytest.mark.parametrize(
    "contact", ["*", "<tel:+4930123>", "<http://x.test>", "<sip:>", "<sip:a@b", ""]
)
def test_an_unusable_contact_is_the_peers_error(contact: str) -> None:
    invite = make_request(contact=contact)
    with pytest.raises(RemoteProtocolError):
        _uas(invite)


def test_a_missing_contact_of_an_invite_is_the_peers_error() -> None:
    invite = make_request()
    invite.remove("contact")
    with pytest.raises(RemoteProtocolError):
        _uas(invite)


def test_an_unusable_record_route_is_the_peers_error() -> None:
    invite = make_request()
    invite.add("record-route", "<tel:+4930123>")
    with pytest.raises(RemoteProtocolError):
        _uas(invite)


def test_a_dialog_made_over_sips_is_secure() -> None:
    invite = make_request()
    invite.uri = "sips:bob@right.test"
    assert _uas(invite).is_secure
    assert not _uas().is_secure


@pytest.mark.parametrize("make", [_uas, _uac])
def test_a_record_makes_the_same_dialog_elsewhere(make: object) -> None:
    dialog = _uas() if make is _uas else _uac()
    dialog.new_request("INFO")
    record = json.loads(json.dumps(dialog.to_record()))
    twin = Dialog.from_record(record)
    assert twin.to_record() == dialog.to_record()
    assert bytes(twin.new_request("BYE")) == bytes(dialog.new_request("BYE"))


def test_the_nearest_router_may_say_that_its_way_has_changed() -> None:
    dialog = _uas()
    dialog.replace_first_route("<sip:other@edge4.test;lr>")
    assert dialog.new_request("BYE").values("route")[0] == "<sip:other@edge4.test;lr>"
    assert dialog.route_set[1:] == _uas().route_set[1:]
    with pytest.raises(RemoteProtocolError):
        dialog.replace_first_route("<tel:+1>")
    assert dialog.next_hop_uri.host == "edge4.test"
