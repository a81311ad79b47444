import msgspec
import pytest

from parley.backing.state.bindings import GRACE_S, Bindings, Found, decode_bindings
from parley.backing.state.embedded import EmbeddedState
from parley.model.ids import InstanceId, TenantId
from parley.model.registration import Binding
from parley.testkit.clock import FakeClock

AOR, TENANT = "1001@demo.test", TenantId("t1")


def binding(expires_at: float = 60.0) -> Binding:
    return Binding(
        aor=f"sip:{AOR}",
        contact="sip:1001@192.0.2.1",
        expires_at=expires_at,
        call_id="c",
        cseq=1,
        edge=InstanceId("e1"),
        source="192.0.2.1",
        q=0.5,
    )


@pytest.fixture
def bindings(state: EmbeddedState) -> Bindings:
    return Bindings(state)


async def test_bindings_are_kept_as_json_that_everybody_reads(
    state: EmbeddedState, bindings: Bindings
) -> None:
    data = await bindings.replace(AOR, [binding()], 0, 0.0)
    assert data == await state.get(f"reg:{{{AOR}}}") == msgspec.json.encode([binding()])
    assert msgspec.json.decode(data)[0]["q"] == 0.5
    assert decode_bindings(await bindings.read(AOR)) == [binding()]
    assert await bindings.read_many(["none", AOR]) == [None, data]
    assert (await bindings.find(AOR)).bindings == [binding()]


async def test_only_who_names_the_version_replaces(bindings: Bindings) -> None:
    assert await bindings.find(AOR) == Found([], 0)
    assert await bindings.replace(AOR, [binding()], 0, 0.0)
    assert await bindings.replace(AOR, [], 0, 0.0) is None
    version = (await bindings.find(AOR)).version
    assert await bindings.replace(AOR, [], version, 0.0) == b"[]"
    assert await bindings.read(AOR) is None


async def test_bindings_outlive_the_last_expiry_for_a_while(
    clock: FakeClock, bindings: Bindings
) -> None:
    wall_s = clock.wall_s()
    await bindings.replace(AOR, [binding(wall_s + 60), binding(wall_s + 90)], 0, wall_s)
    clock.advance(89 + GRACE_S)
    assert await bindings.read(AOR)
    clock.advance(2)
    assert await bindings.read(AOR) is None


@pytest.mark.parametrize("data", [None, b"", b"junk", b'[{"aor": 1}]'])
def test_what_cannot_be_read_counts_as_none(data: bytes | None) -> None:
    assert decode_bindings(data) == []


async def test_an_aor_is_listed_by_what_expires_first(
    state: EmbeddedState, bindings: Bindings
) -> None:
    await bindings.list_aor(TENANT, AOR, [binding(90.0), binding(60.0)])
    await bindings.list_aor(TENANT, "1002@demo.test", [binding(70.0)])
    assert await state.index_range("registrations:{t1}", limit=1) == [(AOR, 60.0)]
    assert await state.index_range("registrations:{*}") == [(TENANT, 0.0)]
    assert await bindings.tenants() == [TENANT]
    assert await bindings.due([TENANT, TenantId("t2")], 65.0, 10) == [[AOR], []]
    assert await bindings.of_tenant(TENANT, 10, (AOR, 60.0)) == [("1002@demo.test", 70.0)]


async def test_an_aor_that_was_bound_meanwhile_is_not_unlisted(bindings: Bindings) -> None:
    await bindings.list_aor(TENANT, AOR, [binding()])
    await bindings.replace(AOR, [binding(80.0)], 0, 0.0)
    await bindings.unlist_aor(TENANT, AOR)
    assert await bindings.of_tenant(TENANT, 10) == [(AOR, 80.0)]


async def test_a_tenant_is_listed_again_after_the_store_may_have_forgotten_it(
    state: EmbeddedState, bindings: Bindings
) -> None:
    await bindings.list_aor(TENANT, AOR, [binding()])
    await state.delete("registrations:{*}")
    await bindings.list_aor(TENANT, AOR, [binding()])
    assert await bindings.tenants() == []
    bindings.forget_lists()
    await bindings.list_aor(TENANT, AOR, [binding()])
    assert await bindings.tenants() == [TENANT]
