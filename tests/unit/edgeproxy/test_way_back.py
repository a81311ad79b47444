"""Where a registered phone is reached again."""

import pytest

from parley.edgeproxy.registrar.registration import way_back
from parley.sip.hop import Hop
from parley.sip.message import Request

SOURCE = Hop("udp", "192.0.2.7", 40000, 1)


def register(contact: str) -> Request:
    request = Request("REGISTER", "sip:demo.test")
    request.add("contact", contact)
    return request


@pytest.mark.parametrize(
    ("contact", "port"),
    [
        ("<sip:1001@192.0.2.7:5070>", 5070),
        ("<sip:1001@192.0.2.7>", 5060),
        ("<sip:1001@192.0.2.7:5070;transport=UDP>", 5070),
    ],
)
def test_udp_phone_without_nat_is_reached_at_its_contact(contact: str, port: int) -> None:
    assert way_back(register(contact).contacts, SOURCE) == Hop("udp", "192.0.2.7", port, 1)


@pytest.mark.parametrize(
    "contact",
    [
        "<sip:1001@10.0.0.7:5070>",
        "<sip:1001@phone.invalid>",
        "<sip:1001@192.0.2.7:5070;transport=tcp>",
        "<tel:+15551001>",
        "*",
        "<sip:1001@192.0.2.7:5070>, <sip:1001@192.0.2.7:5072>",
    ],
)
def test_other_udp_phones_are_reached_where_they_came_from(contact: str) -> None:
    assert way_back(register(contact).contacts, SOURCE) == SOURCE


def test_a_stream_is_its_own_way_back() -> None:
    source = Hop("tls", "192.0.2.7", 40000, 9)

    assert way_back(register("<sip:1001@192.0.2.7:5061>").contacts, source) == source
