"""What a REGISTER does to bindings (RFC 3261 10.3, RFC 5626)."""

from dataclasses import dataclass

import pytest

from parley.edgeproxy.registrar.decision import (
    Accepted,
    RegistrarLimits,
    contact_values,
    decide,
    expire,
)
from parley.edgeproxy.registrar.register_request import ContactRequest, Refused, RegisterRequest
from parley.model.ids import InstanceId
from parley.model.registration import Binding

LIMITS = RegistrarLimits(60, 3600, 7200, 3)
ONE, TWO = "sip:1001@192.0.2.1:5060", "sip:1001@192.0.2.2:5060"
UUID = "<urn:uuid:1>"


@dataclass
class Registrar:
    """One AOR over several requests."""

    bindings: list[Binding]
    cseq: int = 0
    gone: tuple[str, ...] = ()

    def register(
        self,
        *contacts: ContactRequest,
        now: float = 0.0,
        call_id: str = "call",
        cseq: int | None = None,
        removes_all: bool = False,
        source: str = "192.0.2.1",
    ) -> Accepted | Refused:
        self.cseq += 1
        wanted = RegisterRequest(
            "sip:1001@demo.test",
            call_id,
            self.cseq if cseq is None else cseq,
            source,
            InstanceId("edge-1"),
            contacts,
            ("<sip:t@edge;lr>",),
            "phone/1",
            removes_all,
        )
        outcome = decide(self.bindings, wanted, now, LIMITS, lambda one: one.contact in self.gone)
        if isinstance(outcome, Accepted):
            self.bindings = outcome.bindings
        return outcome

    @property
    def contacts(self) -> list[str]:
        return [one.contact for one in self.bindings]


@pytest.fixture
def registrar() -> Registrar:
    return Registrar([])


def test_contact_is_bound_with_its_expiry_and_path(registrar: Registrar) -> None:
    outcome = registrar.register(ContactRequest(ONE, 600), now=1000.0)

    assert isinstance(outcome, Accepted)
    (binding,) = outcome.added
    assert (binding.contact, binding.expires_at) == (ONE, 1600.0)
    assert binding.path == ["<sip:t@edge;lr>"]


def test_expiry_not_given_is_the_default_and_too_long_is_shortened(registrar: Registrar) -> None:
    registrar.register(ContactRequest(ONE), ContactRequest(TWO, 10**9))

    assert [one.expires_at for one in registrar.bindings] == [3600.0, 7200.0]


def test_too_short_expiry_is_refused_and_nothing_changes(registrar: Registrar) -> None:
    outcome = registrar.register(ContactRequest(ONE, 600), ContactRequest(TWO, 59))

    assert outcome == Refused(423, None, (("min-expires", "60"),))
    assert registrar.bindings == []


def test_same_contact_is_replaced_however_it_is_spelt(registrar: Registrar) -> None:
    registrar.register(ContactRequest("sip:%31001@Phone.test", 600))

    outcome = registrar.register(ContactRequest("sip:1001@phone.TEST", 700), now=10.0)

    assert isinstance(outcome, Accepted)
    assert (len(outcome.removed), len(outcome.added)) == (1, 1)
    assert registrar.contacts == ["sip:1001@phone.TEST"]
    assert registrar.bindings[0].expires_at == 710.0


def test_different_contacts_are_different_bindings(registrar: Registrar) -> None:
    registrar.register(ContactRequest(ONE, 600))
    registrar.register(ContactRequest(TWO, 600), call_id="other")

    assert registrar.contacts == [ONE, TWO]


def test_expiry_zero_removes_one_contact(registrar: Registrar) -> None:
    registrar.register(ContactRequest(ONE, 600), ContactRequest(TWO, 600))

    outcome = registrar.register(ContactRequest(ONE, 0))

    assert isinstance(outcome, Accepted)
    assert [one.contact for one in outcome.removed] == [ONE]
    assert registrar.contacts == [TWO]


def test_removing_what_is_not_bound_changes_nothing(registrar: Registrar) -> None:
    outcome = registrar.register(ContactRequest(ONE, 0))

    assert isinstance(outcome, Accepted)
    assert not outcome.is_changed


def test_wildcard_removes_all(registrar: Registrar) -> None:
    registrar.register(ContactRequest(ONE, 600), ContactRequest(TWO, 600))

    outcome = registrar.register(removes_all=True)

    assert isinstance(outcome, Accepted)
    assert len(outcome.removed) == 2
    assert registrar.bindings == []


@pytest.mark.parametrize("removes_all", [True, False])
def test_old_cseq_of_the_same_call_is_refused(registrar: Registrar, removes_all: bool) -> None:
    registrar.register(ContactRequest(ONE, 600), cseq=5)
    contacts = () if removes_all else (ContactRequest(ONE, 0),)

    outcome = registrar.register(*contacts, cseq=5, removes_all=removes_all)

    assert isinstance(outcome, Refused)
    assert outcome.status == 500
    assert registrar.contacts == [ONE]


def test_cseq_of_another_call_does_not_matter(registrar: Registrar) -> None:
    registrar.register(ContactRequest(ONE, 600), cseq=5)

    outcome = registrar.register(ContactRequest(ONE, 600), cseq=1, call_id="after-reboot")

    assert isinstance(outcome, Accepted)
    assert len(outcome.refreshed) == 1


def test_query_without_contact_changes_nothing(registrar: Registrar) -> None:
    registrar.register(ContactRequest(ONE, 600))

    outcome = registrar.register()

    assert isinstance(outcome, Accepted)
    assert not outcome.is_changed
    assert [one.contact for one in outcome.bindings] == [ONE]


def test_flow_is_replaced_by_instance_and_reg_id_whatever_its_uri(registrar: Registrar) -> None:
    registrar.register(ContactRequest(ONE, 600, 1.0, UUID, 1))
    registrar.register(ContactRequest(ONE, 600, 1.0, UUID, 2))

    outcome = registrar.register(ContactRequest(TWO, 600, 1.0, UUID, 1), call_id="after-reboot")

    assert isinstance(outcome, Accepted)
    assert len(outcome.refreshed) == 1
    assert sorted((one.contact, one.reg_id) for one in registrar.bindings) == [(ONE, 2), (TWO, 1)]


def test_an_instance_is_one_phone_with_one_binding_the_newest(registrar: Registrar) -> None:
    for port in range(6100, 6112):
        contact = ContactRequest(f"sip:p@192.0.2.9:{port}", 600, 1.0, UUID)
        outcome = registrar.register(contact, call_id=f"after-reboot-{port}")
        assert isinstance(outcome, Accepted)

    assert registrar.contacts == ["sip:p@192.0.2.9:6111"]


def test_what_an_instance_takes_back_is_named_by_its_uri(registrar: Registrar) -> None:
    registrar.register(ContactRequest(TWO, 600, 1.0, UUID))

    older = registrar.register(ContactRequest(ONE, 0, 1.0, UUID))
    assert isinstance(older, Accepted)
    assert not older.is_changed
    registrar.register(ContactRequest(TWO, 0, 1.0, UUID))
    assert registrar.bindings == []


def test_an_instance_with_outbound_leaves_nothing_of_the_time_without(registrar: Registrar) -> None:
    registrar.register(ContactRequest(ONE, 600, 1.0, UUID))

    outcome = registrar.register(ContactRequest(TWO, 600, 1.0, UUID, 1))
    assert isinstance(outcome, Accepted)
    assert [one.contact for one in outcome.removed] == [ONE]
    registrar.register(ContactRequest(ONE, 600, 1.0, UUID, 2))
    assert registrar.contacts == [TWO, ONE]
    registrar.register(ContactRequest(ONE, 600, 1.0, UUID))
    assert [(one.contact, one.reg_id) for one in registrar.bindings] == [(ONE, None)]


def test_phones_at_two_places_that_write_one_private_contact_are_two(registrar: Registrar) -> None:
    private = ContactRequest("sip:1001@10.0.0.5:5060", 600)
    registrar.register(private, call_id="one", source="198.51.100.1")
    registrar.register(private, call_id="two", source="198.51.100.2")
    assert [one.source for one in registrar.bindings] == ["198.51.100.1", "198.51.100.2"]

    again = registrar.register(private, call_id="rebooted", source="198.51.100.2")
    assert isinstance(again, Accepted)
    assert len(again.refreshed) == 1
    assert len(registrar.bindings) == 2


def test_a_phone_whose_network_got_another_address_stays_one(registrar: Registrar) -> None:
    private = ContactRequest("sip:1001@10.0.0.5:5060", 600)
    registrar.register(private, source="198.51.100.1")

    outcome = registrar.register(private, source="198.51.100.9")

    assert isinstance(outcome, Accepted)
    assert [one.source for one in outcome.removed] == ["198.51.100.1"]
    assert [one.source for one in registrar.bindings] == ["198.51.100.9"]


@pytest.mark.parametrize("uri", ["sip:1001@phone.test", ONE])
def test_a_contact_that_means_the_same_everywhere_is_one_from_wherever(
    registrar: Registrar, uri: str
) -> None:
    registrar.register(ContactRequest(uri, 600), call_id="one")

    registrar.register(ContactRequest(uri, 600), call_id="two", source="198.51.100.2")

    assert [one.source for one in registrar.bindings] == ["198.51.100.2"]


def test_bindings_that_cannot_be_reached_give_way_the_first_to_end_first(
    registrar: Registrar,
) -> None:
    for number in range(3):
        registrar.register(ContactRequest(f"sip:1001@192.0.2.{number}", 600 - number))
    registrar.gone = ("sip:1001@192.0.2.0", "sip:1001@192.0.2.1")

    outcome = registrar.register(ContactRequest("sip:1001@192.0.2.9", 600))

    assert isinstance(outcome, Accepted)
    assert [one.contact for one in outcome.removed] == ["sip:1001@192.0.2.1"]
    assert len(registrar.bindings) == 3


def test_too_many_contacts_are_refused(registrar: Registrar) -> None:
    for number in range(3):
        registrar.register(ContactRequest(f"sip:1001@192.0.2.{number}", 600))

    outcome = registrar.register(ContactRequest("sip:1001@192.0.2.9", 600))
    refreshed = registrar.register(ContactRequest("sip:1001@192.0.2.0", 600))

    assert isinstance(outcome, Refused)
    assert outcome.status == 403
    assert isinstance(refreshed, Accepted)


def test_contacts_are_ordered_by_q(registrar: Registrar) -> None:
    registrar.register(ContactRequest(ONE, 600, 0.5), ContactRequest(TWO, 600, 0.9))

    assert registrar.contacts == [TWO, ONE]
    assert contact_values(registrar.bindings, 0.0) == (
        f"<{TWO}>;expires=600;q=0.9, <{ONE}>;expires=600;q=0.5"
    )


def test_what_ran_out_before_is_told_as_expired(registrar: Registrar) -> None:
    registrar.register(ContactRequest(ONE, 60))

    outcome = registrar.register(ContactRequest(ONE, 60), now=60.0)

    assert isinstance(outcome, Accepted)
    assert (len(outcome.expired), len(outcome.added)) == (1, 1)


def test_sweep_takes_out_what_ran_out(registrar: Registrar) -> None:
    registrar.register(ContactRequest(ONE, 60), ContactRequest(TWO, 90))

    outcome = expire(registrar.bindings, 75.0)

    assert [one.contact for one in outcome.expired] == [ONE]
    assert [one.contact for one in outcome.bindings] == [TWO]


def test_contact_header_repeats_instance_and_reg_id(registrar: Registrar) -> None:
    registrar.register(ContactRequest(ONE, 600, 1.0, UUID, 3))

    assert contact_values(registrar.bindings, 0.0) == (
        f'<{ONE}>;expires=600;+sip.instance="{UUID}";reg-id=3'
    )
