"""For which requests credentials were made, whatever way their URI is written."""

import pytest

from parley.backing.directory import TenantDirectory
from parley.edgeproxy.identity.digest_uri import is_for
from parley.edgeproxy.identity.tenants import Tenants
from parley.edgeproxy.routing.addresses import EdgeAddresses
from parley.model.ids import TenantId
from parley.model.tenant import TenantSnapshot
from parley.sip.hop import Hop
from parley.sip.message import Request

TENANT = TenantSnapshot(
    id=TenantId("t"), name="T", domain="demo.test", domains=("demo.test", "alias.test")
)


def _is_for(digest_uri: str, method: str, request_uri: str) -> bool:
    addresses = EdgeAddresses()
    addresses.add_outside(Hop("udp", "192.0.2.100", 5060))
    tenants = Tenants(TenantDirectory.__new__(TenantDirectory), addresses, "")
    return is_for(digest_uri, Request(method, request_uri), TENANT, tenants)


@pytest.mark.parametrize(
    "digest_uri",
    [
        "sip:1002@demo.test;transport=udp",
        "sip:1002@demo.test",
        "sip:100%32@DEMO.test:5060",
        "sips:1002@demo.test",
        "sip:1002@alias.test",
        "sip:1002@192.0.2.100:5060",
    ],
)
def test_other_spellings_of_the_number_called_are_the_same(digest_uri: str) -> None:
    assert _is_for(digest_uri, "INVITE", "sip:1002@demo.test;transport=udp")


@pytest.mark.parametrize(
    "digest_uri",
    [
        "sip:1003@demo.test",
        "sip:1002@other.test",
        "sip:demo.test",
        "sip:192.0.2.100",
        "sip:1002@192.0.2.100:5080",
        "tel:1002",
        "nonsense",
    ],
)
def test_other_resources_are_not_what_is_called(digest_uri: str) -> None:
    assert not _is_for(digest_uri, "INVITE", "sip:1002@demo.test")


def test_telephone_numbers_are_compared_without_separators() -> None:
    assert _is_for("tel:+4-9", "INVITE", "tel:+49")
    assert not _is_for("tel:+48", "INVITE", "tel:+49")


@pytest.mark.parametrize("digest_uri", ["sip:demo.test", "sip:1001@demo.test", "sip:192.0.2.100"])
def test_a_registration_is_for_the_registrar_whoever_is_named(digest_uri: str) -> None:
    assert _is_for(digest_uri, "REGISTER", "sip:demo.test")
    assert not _is_for("sip:other.test", "REGISTER", "sip:demo.test")
