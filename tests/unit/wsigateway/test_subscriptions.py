"""Who gets which event."""

import pytest

from parley.model.errors import Forbidden, InvalidValue
from parley.wsigateway.subscriptions import Subscriptions


def test_a_tenant_gets_only_what_it_subscribed_to() -> None:
    subscriptions = Subscriptions("acme", 10)
    assert subscriptions.topics_of(None) == []
    assert subscriptions.add(["call"], None) == {("call", "acme")}
    assert subscriptions.topics_of(None) == subscriptions.topics_of("acme") == ["call"]


def test_a_tenant_may_name_itself_but_nobody_else() -> None:
    subscriptions = Subscriptions("acme", 10)
    subscriptions.add(["registration", "call"], "acme")
    assert subscriptions.topics_of("acme") == ["call", "registration"]
    for tenant in ("other", "", "*"):
        with pytest.raises(Forbidden):
            subscriptions.add(["call"], tenant)
    assert {tenant for _, tenant in subscriptions} == {"acme"}


def test_the_platform_gets_one_tenant_or_all() -> None:
    subscriptions = Subscriptions(None, 10)
    assert subscriptions.add(["call"], "acme") == {("call", "acme")}
    assert subscriptions.add(["registration"], None) == {("registration", None)}
    assert subscriptions.topics_of("acme") == ["call"]
    assert subscriptions.topics_of(None) == ["registration"]


def test_what_was_unsubscribed_comes_no_more() -> None:
    subscriptions = Subscriptions("acme", 10)
    subscriptions.add(["call", "cdr"], None)
    assert subscriptions.remove(["call", "config"], None) == {("call", "acme")}
    assert set(subscriptions) == {("cdr", "acme")}


@pytest.mark.parametrize("topics", [[], ["calls"], ["call", "call.dead"], ["CALL"]])
def test_unknown_topics_change_nothing(topics: list[str]) -> None:
    subscriptions = Subscriptions("acme", 10)
    with pytest.raises(InvalidValue):
        subscriptions.add(topics, None)
    assert not set(subscriptions)


def test_subscriptions_are_bounded() -> None:
    subscriptions = Subscriptions(None, 3)
    for number in range(3):
        subscriptions.add(["call", "call"], f"t{number}")
    subscriptions.add(["call"], "t1")
    with pytest.raises(InvalidValue, match="too many"):
        subscriptions.add(["call"], "t9")
    assert len(set(subscriptions)) == 3
