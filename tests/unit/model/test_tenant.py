"""Tenant snapshots are replaced, share what did not change, and keep their indexes right."""

from typing import Any

from parley.model.errors import Conflict, DomainError, NotFound
from parley.model.ids import ExtensionId, TenantId
from parley.model.tenant import Extension, TenantSettings, TenantSnapshot


def _extension(number: str, **more: Any) -> Extension:
    fields: dict[str, Any] = {
        "id": ExtensionId(f"x{number}"),
        "tenant_id": TenantId("t1"),
        "number": number,
        "auth_name": f"a{number}",
    }
    return Extension(**(fields | more))


def _snapshot() -> TenantSnapshot:
    extensions = {number: _extension(number) for number in ("1001", "1002")}
    return TenantSnapshot(id=TenantId("t1"), name="Demo", domain="demo", extensions=extensions)


def test_extension_is_found_by_auth_name() -> None:
    found = _snapshot().find_auth_name("a1002")

    assert found is not None
    assert found.number == "1002"
    assert _snapshot().find_auth_name("1002") is None


def test_primary_domain_is_the_only_one_unless_more_are_given() -> None:
    assert _snapshot().domains == ("demo",)


def test_changed_extension_replaces_only_its_own_entry() -> None:
    old = _snapshot()

    new = old.with_extensions([_extension("1002", display_name="Bea")])

    assert new.extensions["1002"].display_name == "Bea"
    assert new.extensions["1001"] is old.extensions["1001"]
    assert old.extensions["1002"].display_name == ""


def test_renumbered_extension_leaves_no_old_number_behind() -> None:
    moved = _extension("1003", id=ExtensionId("x1002"), auth_name="bea")

    new = _snapshot().with_extensions([moved])

    assert sorted(new.extensions) == ["1001", "1003"]
    assert new.find_auth_name("bea") is moved
    assert new.find_auth_name("a1002") is None


def test_extensions_may_exchange_their_numbers_and_names() -> None:
    one = _extension("1002", id=ExtensionId("x1001"))
    two = _extension("1001", id=ExtensionId("x1002"))

    new = _snapshot().with_extensions([one, two], version=7)

    assert new.extensions == {"1002": one, "1001": two}
    assert (new.find_auth_name("a1001"), new.find_auth_name("a1002")) == (two, one)
    assert new.version == 7


def test_extension_whose_number_was_given_away_is_not_found_until_its_own_change_is_heard() -> None:
    one = _extension("1002", id=ExtensionId("x1001"), auth_name="a1001")

    new = _snapshot().with_extensions([one])

    assert new.extensions == {"1002": one}
    assert new.find_auth_name("a1002") is None
    assert new.find_auth_name("a1001") is one


def test_removed_extension_is_gone_from_every_index() -> None:
    new = _snapshot().with_extensions([], [ExtensionId("x1001"), ExtensionId("nobody")])

    assert sorted(new.extensions) == ["1002"]
    assert new.find_auth_name("a1001") is None


def test_ring_timeout_is_the_extensions_own_or_the_tenants() -> None:
    snapshot = TenantSnapshot(
        id=TenantId("t1"), name="n", domain="d", settings=TenantSettings(ring_timeout_s=20)
    )

    assert snapshot.ring_timeout_s(_extension("1")) == 20
    assert snapshot.ring_timeout_s(_extension("1", ring_timeout_s=5.0)) == 5


def test_domain_error_takes_its_face_from_its_class_or_its_maker() -> None:
    assert (NotFound().sip_status, str(NotFound())) == (404, "not-found")
    error = Conflict("taken", error_id="domain-taken")
    assert (error.http_status, error.error_id, str(error)) == (409, "domain-taken", "taken")
    assert Conflict.error_id == "conflict"
    assert DomainError("x", sip_status=486, http_status=409).sip_status == 486
