"""What is read of an INVITE, and whether its admission has to wait."""

from types import SimpleNamespace
from typing import Any

import pytest

from parley.backing.state.base import run_now
from parley.callmanager.admission import Admission
from parley.callmanager.routing import NOT_FOUND, NOT_REGISTERED
from parley.callmanager.settings import CallManagerSettings
from parley.model.errors import Forbidden
from parley.model.ids import ExtensionId, InstanceId, TenantId
from parley.model.registration import Binding
from parley.model.tenant import Extension, TenantSnapshot
from parley.sip.errors import RemoteProtocolError
from parley.sip.message import Request
from parley.testkit.clock import FakeClock
from parley.testkit.ids import CountingIds

T1 = TenantId("t1")


def tenant_with(*numbers: str) -> TenantSnapshot:
    extensions = {
        number: Extension(
            id=ExtensionId(number), tenant_id=T1, number=number, auth_name=number, display_name="N"
        )
        for number in numbers
    }
    return TenantSnapshot(id=T1, name="Demo", domain="demo.test", extensions=extensions)


class Desk:
    """An admission beside a directory and a store that are told what they know.

    Attributes:
        warm: the tenant in memory.
        stored: the tenant in the database.
        looked: numbers that were read again.
    """

    def __init__(self) -> None:
        self.warm: TenantSnapshot | None = tenant_with("1001", "1002")
        self.stored = self.warm
        self.is_rationed = False
        self.looked: list[str] = []
        self.store = SimpleNamespace(is_immediate=True, bindings=self._bindings)
        directory: Any = self
        store: Any = self.store
        self.admission = Admission(
            settings=CallManagerSettings.load(),
            directory=directory,
            store=store,
            clock=FakeClock(),
            ids=CountingIds(),
            instance=InstanceId("cm-1"),
        )

    def peek_by_id(self, tenant_id: TenantId) -> TenantSnapshot | None:
        return self.warm if tenant_id == T1 else None

    async def load_by_id(self, tenant_id: TenantId) -> TenantSnapshot | None:
        return self.stored if tenant_id == T1 else None

    def may_look_again(self, tenant_id: TenantId, name: str) -> bool:
        return not self.is_rationed

    async def look_again(self, tenant_id: TenantId, name: str) -> TenantSnapshot | None:
        self.looked.append(name)
        return self.stored

    async def _bindings(self, aor: str, wall_s: float) -> list[Binding]:
        return []


def request(method: str = "INVITE", dialled: str = "1002", **headers: str) -> Request:
    made = Request(method, f"sip:{dialled}@demo.test")
    made.add("contact", "<sip:1001@192.0.2.1:5060>")
    made.add("p-asserted-identity", "<sip:1001@demo.test>")
    made.add("x-parley-tenant", T1)
    for name, value in headers.items():
        made.set(name.replace("_", "-"), value)
    return made


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
@pytest.mark.parametrize("contact", ["<sip:1001@192.0.2.1", '"Ann'])
def test_a_contact_that_cannot_be_read_is_the_peer_s_error(
    desk: Desk, method: str, contact: str
) -> None:
    with pytest.raises(RemoteProtocolError):
        desk.admission.read(request(method, contact=contact))


def test_what_memory_knows_is_decided_on_the_spot(desk: Desk) -> None:
    asked = desk.admission.read(request())
    assert asked.is_immediate
    assert (asked.attempt.caller, asked.attempt.dialled) == ("1001", "1002")
    assert run_now(desk.admission.decide(asked)) is NOT_REGISTERED
    assert desk.looked == []


async def test_a_number_that_memory_does_not_know_is_read_again(desk: Desk) -> None:
    desk.stored = tenant_with("1001", "1002", "1003")
    asked = desk.admission.read(request(dialled="1003"))
    assert not asked.is_immediate
    assert await desk.admission.decide(asked) is NOT_REGISTERED
    assert desk.looked == ["1003"]


def test_a_number_that_was_read_a_moment_ago_is_unknown_on_the_spot(desk: Desk) -> None:
    desk.is_rationed = True
    asked = desk.admission.read(request(dialled="1003"))
    assert asked.is_immediate
    assert run_now(desk.admission.decide(asked)) is NOT_FOUND


async def test_a_tenant_that_memory_does_not_know_is_read(desk: Desk) -> None:
    desk.warm = None
    asked = desk.admission.read(request())
    assert (asked.tenant, asked.is_immediate) == (None, False)
    assert await desk.admission.decide(asked) is NOT_REGISTERED


async def test_a_store_that_has_to_be_waited_for_makes_nothing_immediate(desk: Desk) -> None:
    desk.store.is_immediate = False
    asked = desk.admission.read(request())
    assert (asked.tenant, asked.is_immediate) == (desk.warm, False)
    assert await desk.admission.decide(asked) is NOT_REGISTERED


@pytest.mark.parametrize("named", ["", "elsewhere"])
async def test_an_invite_of_no_tenant_is_forbidden(desk: Desk, named: str) -> None:
    asked = desk.admission.read(request(x_parley_tenant=named))
    assert not asked.is_immediate
    with pytest.raises(Forbidden):
        await desk.admission.decide(asked)
