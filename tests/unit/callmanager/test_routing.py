"""Where a call goes."""

import pytest
from msgspec.structs import replace

from parley.callmanager.routing import (
    DISABLED,
    FOREIGN_DOMAIN,
    NOT_ALLOWED,
    NOT_FOUND,
    NOT_REGISTERED,
    TENANT_DISABLED,
    Attempt,
    Echo,
    RingTargets,
    find_callee,
    ring_extension,
)
from parley.callmanager.sip_profile import domain_of
from parley.model.ids import ExtensionId, InstanceId, TenantId
from parley.model.registration import Binding
from parley.model.tenant import Extension, TenantSettings, TenantSnapshot
from parley.sip.uri import parse_uri

NOW = 1000.0


def extension(number: str, **more: object) -> Extension:
    given = {"ring_timeout_s": None, **more}
    return Extension(
        id=ExtensionId(number),
        tenant_id=TenantId("t"),
        number=number,
        auth_name=number,
        **given,  # type: ignore[arg-type]  # a test's own values
    )


BOB = extension("1002", ring_timeout_s=12.0)
TENANT = TenantSnapshot(
    id=TenantId("t"),
    name="Demo",
    domain="demo.test",
    extensions={
        "1001": extension("1001"),
        "1002": BOB,
        "1003": extension("1003", enabled=False),
    },
    settings=TenantSettings(echo_number="999", ring_timeout_s=40.0),
)


def binding(contact: str, expires_at: float = NOW + 60, **more: object) -> Binding:
    given = {"path": ["<sip:p@edge;lr>"], "source": "192.0.2.2", **more}
    return Binding(
        aor="sip:1002@demo.test",
        contact=contact,
        expires_at=expires_at,
        call_id="r",
        cseq=1,
        edge=InstanceId("e"),
        **given,  # type: ignore[arg-type]  # a test's own values
    )


def attempt(dialled: str, caller: str = "1001", contact: str = "sip:1001@x") -> Attempt:
    return Attempt(caller, contact, dialled)


def ring(*bindings: Binding, contact: str = "sip:1001@x", limit: int = 20) -> object:
    wanted = attempt("1002", contact=contact)
    return ring_extension(TENANT, BOB, bindings, wanted, wall_s=NOW, max_targets=limit)


def test_an_extension_is_found_by_its_number() -> None:
    assert find_callee(TENANT, attempt("1002")) is BOB


def test_the_echo_number_is_the_echo() -> None:
    assert find_callee(TENANT, attempt("999")) == Echo("999")


def test_what_does_not_exist_or_is_off_is_refused() -> None:
    off = replace(TENANT, enabled=False)
    assert find_callee(TENANT, attempt("4711")) is NOT_FOUND
    assert find_callee(TENANT, attempt("")) is NOT_FOUND
    assert find_callee(TENANT, attempt("1003")) is DISABLED
    assert find_callee(TENANT, attempt("1002", caller="1003")) is NOT_ALLOWED
    assert find_callee(TENANT, attempt("1002", caller="")) is NOT_ALLOWED
    assert find_callee(off, attempt("1002")) is TENANT_DISABLED


@pytest.mark.parametrize("dialled", ["1002", "999", "4711"])
@pytest.mark.parametrize("domain", ["elsewhere.example", "192.0.2.1", "x.demo.test", "+49"])
def test_a_number_of_another_domain_is_not_ours(dialled: str, domain: str) -> None:
    foreign = Attempt("1001", "", dialled, domain)
    assert find_callee(TENANT, foreign) is FOREIGN_DOMAIN
    assert foreign.dialled_in(TENANT) == f"{dialled}@{domain}"
    assert Attempt("1001", "", dialled, "demo.test").dialled_in(TENANT) == dialled


def test_a_number_is_found_in_every_domain_of_its_tenant() -> None:
    tenant = replace(TENANT, domains=("demo.test", "demo.example"))
    for domain in ("", *tenant.domains):
        assert find_callee(tenant, Attempt("1001", "", "1002", domain)) is BOB


@pytest.mark.parametrize(
    ("uri", "domain"),
    [
        ("sip:1002@Demo.Test:5070;transport=tcp", "demo.test"),
        ("sips:1002@demo.test.", "demo.test"),
        ("sip:1002@.", "."),
        ("tel:1002", ""),
        ("tel:1002;phone-context=Demo.Test", "demo.test"),
        ("tel:1002;phone-context=+49", "+49"),
    ],
)
def test_a_uri_says_in_whose_numbers_it_names_somebody(uri: str, domain: str) -> None:
    assert domain_of(parse_uri(uri)) == domain


def test_all_phones_ring_at_once_for_the_extension_s_own_time() -> None:
    decision = ring(binding("sip:1002@a"), binding("sip:1002@b"))
    assert isinstance(decision, RingTargets)
    assert {target.contact for target in decision.targets} == {"sip:1002@a", "sip:1002@b"}
    assert decision.timeout_s == 12.0
    assert decision.targets[0].route == ("<sip:p@edge;lr>",)


def test_expired_bindings_do_not_count() -> None:
    assert ring(binding("sip:1002@a", NOW - 1)) is NOT_REGISTERED
    assert ring() is NOT_REGISTERED


def test_the_calling_phone_does_not_ring_itself() -> None:
    own = "sip:1002@a"
    assert ring(binding(own), contact=own) is NOT_REGISTERED


def test_two_flows_of_one_phone_are_one_target_with_an_alternate() -> None:
    old = binding("sip:1002@old", NOW + 10, instance_id="urn:1", reg_id=1)
    new = binding("sip:1002@new", NOW + 60, instance_id="urn:1", reg_id=2)
    decision = ring(old, new)
    assert isinstance(decision, RingTargets)
    [target] = decision.targets
    assert target.contact == "sip:1002@new"
    assert [other.contact for other in target.alternates] == ["sip:1002@old"]


def test_phones_at_two_places_with_one_private_contact_both_ring() -> None:
    one = binding("sip:1002@10.0.0.5", path=["<sip:p1@edge;lr>"], source="198.51.100.1")
    two = binding("sip:1002@10.0.0.5", path=["<sip:p2@edge;lr>"], source="198.51.100.2")
    decision = ring(one, two)
    assert isinstance(decision, RingTargets)
    routes = {target.route for target in decision.targets}
    assert routes == {("<sip:p1@edge;lr>",), ("<sip:p2@edge;lr>",)}


def test_no_more_phones_ring_than_allowed() -> None:
    decision = ring(*(binding(f"sip:1002@{n}") for n in range(9)), limit=3)
    assert isinstance(decision, RingTargets)
    assert len(decision.targets) == 3
