"""Reading a REGISTER: bounds and malformed values."""

import pytest

from parley.edgeproxy.registrar.register_request import Refused, RegisterRequest, read_register
from parley.model.ids import InstanceId
from parley.sip.errors import RemoteProtocolError
from parley.sip.hop import Hop
from parley.sip.message import Request

FLOW = '<sip:1001@192.0.2.1>;+sip.instance="<urn:uuid:1>";reg-id=1'


def _read(*contacts: str, **headers: str) -> RegisterRequest | Refused:
    request = Request("REGISTER", "sip:demo.test")
    request.add("via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
    request.add("from", "<sip:1001@demo.test>;tag=1")
    request.add("to", "<sip:1001@demo.test>")
    request.add("call-id", headers.pop("call_id", "c1"))
    request.add("cseq", "7 REGISTER")
    for contact in contacts:
        request.add("contact", contact)
    for name, value in headers.items():
        request.add(name.replace("_", "-"), value)
    request.source = Hop("udp", "192.0.2.1", 5060)
    return read_register(
        request, request.contacts, "sip:1001@demo.test", InstanceId("e1"), "<sip:own@edge;lr>"
    )


def _accepted(*contacts: str, **headers: str) -> RegisterRequest:
    wanted = _read(*contacts, **headers)
    assert isinstance(wanted, RegisterRequest)
    return wanted


def test_expiry_of_the_contact_wins_over_the_header() -> None:
    wanted = _accepted("<sip:a@h1>;expires=100, <sip:a@h2>", expires="200")

    assert [one.expires_s for one in wanted.contacts] == [100, 200]
    assert (wanted.call_id, wanted.cseq, wanted.source) == ("c1", 7, "192.0.2.1")


@pytest.mark.parametrize("text", ["soon", "-5", "1e3", "99999999999"])
def test_malformed_expiry_counts_as_not_given(text: str) -> None:
    wanted = _accepted(f"<sip:a@h1>;expires={text}", expires="junk")

    assert wanted.contacts[0].expires_s is None


def test_own_path_comes_before_those_of_proxies_in_between() -> None:
    wanted = _accepted("<sip:a@h1>", path="<sip:p1;lr>, <sip:p2;lr>")

    assert wanted.path == ("<sip:own@edge;lr>", "<sip:p1;lr>", "<sip:p2;lr>")


def test_what_would_be_kept_without_bound_is_refused() -> None:
    uri = "<sip:" + "p" * 500 + ";lr>"
    assert len(_accepted("<sip:a@h1>", path=uri).path) == 2

    assert isinstance(_read("<sip:a@h1>", path="<sip:" + "p" * 510 + ";lr>"), Refused)
    assert isinstance(_read("<sip:a@h1>", call_id="c" * 257), Refused)


def test_wildcard_needs_expires_zero() -> None:
    assert isinstance(_read("*", expires="60"), Refused)
    assert isinstance(_read("*"), Refused)
    assert _accepted("*", expires="0").removes_all


def test_wildcard_beside_a_contact_is_malformed() -> None:
    with pytest.raises(RemoteProtocolError):
        _read("*", "<sip:a@h1>", expires="0")


@pytest.mark.parametrize(
    "contact",
    [
        "<tel:+4930123>",
        "<mailto:a@b>",
        f"<sip:a@h1;x={'y' * 600}>",
        "<sip:a@h1>;q=1.5",
        "<sip:a@h1>;q=high",
        "<sip:a@h1>;q=0.12345",
    ],
)
def test_unusable_contact_is_malformed(contact: str) -> None:
    with pytest.raises(RemoteProtocolError):
        _read(contact)


def test_more_contacts_than_anyone_needs_are_refused() -> None:
    refused = _read(", ".join(f"<sip:a@h{number}>" for number in range(11)))

    assert isinstance(refused, Refused)
    assert refused.status == 403


def test_reg_id_counts_only_for_a_phone_that_supports_outbound() -> None:
    plain = _accepted(FLOW)
    outbound = _accepted(FLOW, supported="path, outbound")

    assert (plain.contacts[0].reg_id, plain.uses_outbound) == (None, False)
    assert (outbound.contacts[0].reg_id, outbound.uses_outbound) == (1, True)
    assert plain.contacts[0].instance_id == "<urn:uuid:1>"


def test_outbound_behind_a_proxy_that_keeps_no_flows_is_refused() -> None:
    second_via = "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK0"
    refused = _read(FLOW, supported="outbound", via=second_via)
    kept = _read(FLOW, supported="outbound", via=second_via, path="<sip:p1;lr;ob>")

    assert isinstance(refused, Refused)
    assert refused.status == 439
    assert isinstance(kept, RegisterRequest)


@pytest.mark.parametrize("reg_id", ["0", "x", "-1", "2147483648", "99999999999"])
def test_malformed_reg_id_is_refused(reg_id: str) -> None:
    with pytest.raises(RemoteProtocolError):
        _read(FLOW.replace("reg-id=1", f"reg-id={reg_id}"), supported="outbound")


def test_user_agent_is_cut() -> None:
    assert len(_accepted("<sip:a@h1>", user_agent="x" * 5000).user_agent) == 128
