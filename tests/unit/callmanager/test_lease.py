"""For how long an instance may act without asking."""

import pytest

from parley.callmanager.lease import Lease, LeaseTimes


@pytest.fixture
def lease() -> Lease:
    made = Lease(LeaseTimes(ttl_s=1.0, renew_s=0.3))
    made.renewed(100.0, 1)
    return made


def test_a_new_lease_is_not_valid() -> None:
    assert not Lease(LeaseTimes()).is_valid(0.0)


def test_it_is_valid_for_its_time_to_live_from_the_sending(lease: Lease) -> None:
    assert lease.is_valid(100.99)
    assert not lease.is_valid(101.0)


def test_renewals_in_time_are_one_term(lease: Lease) -> None:
    assert not lease.renewed(100.9, 2)
    assert (lease.term, lease.version) == (1, 2)
    assert lease.is_valid(101.8)


def test_a_renewal_that_was_sent_too_late_begins_a_new_term(lease: Lease) -> None:
    assert lease.renewed(101.0, 2)
    assert lease.term == 2


def test_a_renewal_without_answer_changes_nothing_until_the_time_is_over(lease: Lease) -> None:
    lease.unanswered()
    assert lease.is_away
    assert lease.is_valid(100.99)
    assert not lease.renewed(100.99, 2)
    assert not lease.is_away


def test_a_key_that_is_not_ours_any_more_ends_the_validity_at_once(lease: Lease) -> None:
    lease.superseded(7)
    assert not lease.is_valid(100.1)
    assert lease.version == 7
    assert lease.renewed(100.2, 8)
    assert lease.term == 2


def test_state_that_may_have_forgotten_begins_a_new_term(lease: Lease) -> None:
    lease.forget()
    assert lease.term == 2
    assert not lease.is_valid(100.1)


def test_an_answer_that_comes_out_of_order_shortens_nothing(lease: Lease) -> None:
    lease.renewed(100.6, 3)
    lease.renewed(100.3, 2)
    assert lease.is_valid(101.5)
