"""Who gets which event."""

import pytest

from parley.model.errors import Forbidden, InvalidValue
from parley.wsigateway.subscriptions import Subscriptions


def test_a_tenant_gets_only_what_it_subscribed_to() -> None:
    subscriptions = Subscriptions("acme", 10)
    assert not subscriptions.wants("call", "acme")
    assert subscriptions.add(["call"], None) == ["call"]
    assert subscriptions.wants("call", "acme")
    assert not subscriptions.wants("call", "other")
    assert not subscriptions.wants("call", "")
    assert not subscriptions.wants("registration", "acme")


def test_a_tenant_may_name_itself_but_nobody_else() -> None:
    subscriptions = Subscriptions("acme", 10)
    assert subscriptions.add(["registration", "call"], "acme") == ["call", "registration"]
    for tenant in ("other", "", "*"):
        with pytest.raises(Forbidden):
            subscriptions.add(["call"], tenant)
        assert not subscriptions.wants("call", tenant)


def test_the_platform_gets_one_tenant_or_all() -> None:
    subscriptions = Subscriptions(None, 10)
    subscriptions.add(["call"], "acme")
    assert subscriptions.wants("call", "acme") and not subscriptions.wants("call", "other")
    subscriptions.add(["registration"], None)
    assert subscriptions.wants("registration", "anyone")
    assert not subscriptions.wants("call", "other")


def test_what_was_unsubscribed_comes_no_more() -> None:
    subscriptions = Subscriptions("acme", 10)
    subscriptions.add(["call", "cdr"], None)
    assert subscriptions.remove(["call"], None) == ["cdr"]
    assert not subscriptions.wants("call", "acme") and subscriptions.wants("cdr", "acme")


@pytest.mark.parametrize("topics", [[], ["calls"], ["call", "call.dead"], ["CALL"]])
def test_unknown_topics_change_nothing(topics: list[str]) -> None:
    subscriptions = Subscriptions("acme", 10)
    with pytest.raises(InvalidValue):
        subscriptions.add(topics, None)
    assert not subscriptions.wants("call", "acme")


def test_subscriptions_are_bounded() -> None:
    subscriptions = Subscriptions(None, 3)
    for number in range(3):
        subscriptions.add(["call", "call"], f"t{number}")
    subscriptions.add(["call"], "t1")
    with pytest.raises(InvalidValue, match="too many"):
        subscriptions.add(["call"], "t9")
    assert not subscriptions.wants("call", "t9")
