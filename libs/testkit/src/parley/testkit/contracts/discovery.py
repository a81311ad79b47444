"""What every adapter of the discovery port does."""

from collections.abc import Sequence

from parley.backing.discovery.base import Discovery, Instance, InstanceState
from parley.backing.errors import BackingUnavailable
from parley.testkit.contracts.arms import Arm, Behaviour, refuses, settled


def _instance(name: str) -> Instance:
    return Instance(service="callmanager", id=name, address="127.0.0.1:5070", zone="a")


async def an_instance_is_seen_while_it_is_registered(arm: Arm[Discovery]) -> None:
    """Views are ordered by id and keep services apart."""
    discovery = await arm.open()
    second = await discovery.register(_instance("cm-2"))
    first = await discovery.register(_instance("cm-1"))
    await settled(lambda: len(discovery.instances("callmanager")) == 2)
    assert [one.id for one in discovery.instances("callmanager")] == ["cm-1", "cm-2"]
    assert discovery.instances("edgeproxy") == []
    await first.update(state=InstanceState.READY)
    await settled(lambda: discovery.instances("callmanager")[0].state is InstanceState.READY)
    assert discovery.instances("callmanager")[0].address == "127.0.0.1:5070"
    await second.aclose()
    await second.aclose()
    await settled(lambda: len(discovery.instances("callmanager")) == 1)
    with refuses(BackingUnavailable):
        await second.update(state=InstanceState.READY)


async def an_id_is_registered_once(arm: Arm[Discovery]) -> None:
    """Ids name one run of one process."""
    discovery = await arm.open()
    await discovery.register(_instance("cm-1"))
    with refuses(ValueError):
        await discovery.register(_instance("cm-1"))


async def a_watcher_is_told_the_view_and_its_changes(arm: Arm[Discovery]) -> None:
    """First the present view, then every later one; a failing watcher harms nobody."""
    discovery = await arm.open()
    views: list[list[str]] = []

    def fail(_: Sequence[Instance]) -> None:
        raise RuntimeError("this watcher is broken")

    discovery.watch("callmanager", fail)
    watch = discovery.watch("callmanager", lambda view: views.append([one.id for one in view]))
    await settled(lambda: views == [[]])
    registration = await discovery.register(_instance("cm-1"))
    await settled(lambda: views[-1] == ["cm-1"])
    await registration.update(state=InstanceState.DRAINING)
    await settled(lambda: len(views) == 3)
    watch.close()
    await registration.aclose()
    await settled(lambda: discovery.instances("callmanager") == [])
    assert views == [[], ["cm-1"], ["cm-1"]]


async def nobody_registers_after_the_end_of_the_session(arm: Arm[Discovery]) -> None:
    """What is closed announces nothing more."""
    discovery = await arm.open()
    await arm.close(discovery)
    with refuses(BackingUnavailable):
        await discovery.register(_instance("cm-9"))


BEHAVIOURS: tuple[Behaviour[Discovery], ...] = (
    an_instance_is_seen_while_it_is_registered,
    an_id_is_registered_once,
    a_watcher_is_told_the_view_and_its_changes,
    nobody_registers_after_the_end_of_the_session,
)
