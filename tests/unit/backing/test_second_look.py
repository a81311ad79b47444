"""How often the database may be asked about what memory does not know."""

from parley.backing.second_look import SECOND_LOOK_TTL_S, SecondLooks
from parley.model.ids import TenantId
from parley.testkit.clock import FakeClock

_ONE, _OTHER = TenantId("one"), TenantId("other")


def test_a_name_gets_one_look_per_second() -> None:
    clock = FakeClock()
    looks = SecondLooks(clock.now)
    assert looks.take(_ONE, "anna")
    assert not looks.is_open(_ONE, "anna") and not looks.take(_ONE, "anna")
    assert looks.is_open(_OTHER, "anna") and looks.is_open(_ONE, "bob")
    clock.advance(SECOND_LOOK_TTL_S)
    assert looks.take(_ONE, "anna")


def test_a_scanner_uses_up_its_tenants_allowance_and_no_other() -> None:
    clock = FakeClock()
    looks = SecondLooks(clock.now)
    granted = sum(looks.take(_ONE, f"guess-{n}") for n in range(1000))
    assert 0 < granted < 300
    assert not looks.is_open(_ONE, "one more")
    assert looks.take(_OTHER, "anna")
    clock.advance(1.0)
    assert 0 < sum(looks.take(_ONE, f"again-{n}") for n in range(1000)) < 50
