"""One call among several call managers that die, freeze, and lose state, in any order.

The decisions are the real ones (`lease.py`, `ownership.py`); the managers around them are the
asyncio shell told in a few lines, with time moved by hand. Found without end: no two owners in one
line of epochs, no call without a living owner for longer than detection takes, and none that was
ended and goes on.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from parley.callmanager.lease import Lease, LeaseTimes
from parley.callmanager.ownership import (
    Answer,
    Claim,
    Probe,
    Restore,
    Sight,
    Verdict,
    census,
    next_step,
    share,
    verdict,
)

from .ownership_world import Away, Manager, Shared

pytestmark = pytest.mark.timeout(60)

TICK_S = 0.1
RENEW_S = 0.3
SETTLE_S = 2.0
DETECTION_S = 1.0 + 2 * RENEW_S + SETTLE_S
"""Lease, a sweep, and the pause after state was away."""
CHECK_S = 10.0
CALL = "call"
NAMES = ("a", "b", "c", "d", "e")


class Ownership(RuleBasedStateMachine):
    """The world."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.shared = Shared()
        self.managers: dict[str, Manager] = {}
        self.acts: list[tuple[str, int]] = []
        self.may_be_lost = False
        self.ended_by = ""

    # --- what happens ----------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        for name in NAMES[:3]:
            self._start(name)
        owner = self.managers["a"]
        self.shared.owned.add("a")
        self.shared.record = "a", 1
        owner.held, owner.term, owner.generation = 1, owner.lease.term, 1

    @precondition(lambda self: len(self._running()) > 1 or len(self.managers) < len(NAMES))
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        manager = self._draw(data)
        manager.is_dead, manager.held = True, None
        if len(self.managers) < len(NAMES):
            self._start(NAMES[len(self.managers)])

    @rule(data=st.data(), fault=st.sampled_from(("is_frozen", "is_cut", "loses_answers")))
    def trouble(self, data: st.DataObject, fault: str) -> None:
        """Freezes or thaws a manager, cuts it off from state or lets it lose answers, and back."""
        manager = self._draw(data)
        setattr(manager, fault, not getattr(manager, fault))

    @precondition(lambda self: self._owner() is not None)
    @rule(fault=st.sampled_from(("is_frozen", "is_cut", "loses_answers")))
    def owner_in_trouble(self, fault: str) -> None:
        """The same for who has the call."""
        setattr(self._owner(), fault, True)

    @rule()
    def recover(self) -> None:
        """All troubles end."""
        for manager in self.managers.values():
            manager.is_frozen = manager.is_cut = manager.loses_answers = False

    def _owner(self) -> Manager | None:
        return self.managers.get(self.shared.record[0]) if self.shared.record else None

    def _draw(self, data: st.DataObject) -> Manager:
        alive = [name for name, each in self.managers.items() if not each.is_dead]
        return self.managers[data.draw(st.sampled_from(alive or list(self.managers)))]

    @rule()
    def fail_over(self) -> None:
        """A replica without the last writes takes over: leases, indexes or the record are gone."""
        shared = self.shared
        shared.generation += 1
        shared.leases.clear()
        owner = self._owner()
        if owner is not None and owner.held is not None:
            shared.record = None
            shared.owned.discard(owner.name)
            self.may_be_lost = True
        if self._remembers_the_end():
            shared.is_ended = False
        self.acts.clear()
        # Connections break, so everybody who runs hears of it before it does anything else.
        for manager in self._running():
            self._hear_of_generation(manager)

    def _remembers_the_end(self) -> bool:
        """Whoever ended the call lives, and hears that state has forgotten."""
        ended_by = self.managers.get(self.ended_by)
        return ended_by in self._running() and ended_by is not None and not ended_by.is_cut

    @rule()
    def hang_up(self) -> None:
        """The owner ends the call: its record goes, and leaves a mark."""
        manager = self._owner()
        if manager not in self._running() or manager.held is None or manager.is_cut:
            return
        before = len(self.acts)
        try:
            self._act(manager)
        except Away:
            return
        if (
            manager.held is not None
            and len(self.acts) > before
            and self.shared.record == (manager.name, manager.held)
        ):
            self.shared.record, self.shared.is_ended = None, True
            self.shared.owned.discard(manager.name)
            self.ended_by, manager.held = manager.name, None

    @rule(ticks=st.integers(1, 20), first=st.integers(0, 4))
    def pass_time(self, ticks: int, first: int) -> None:
        """Time passes; now and then requests within the dialog come to everybody."""
        for tick in range(ticks):
            self.now += TICK_S
            for manager in self._running():
                self._tick(manager)
            if tick % 5 == first:
                self._message_all(first)

    @rule(first=st.integers(0, 4))
    def message(self, first: int) -> None:
        self._message_all(first)

    def _message_all(self, first: int) -> None:
        running = self._running()
        for place in range(len(running)):
            self._message(running[(place + first) % len(running)])

    def _message(self, manager: Manager, unreachable: str = "") -> None:
        try:
            if manager.held is None:
                self._bring(manager, unreachable)
        except Away:
            manager.must_check = True
        if manager.held is not None:
            self._act(manager)

    @rule(data=st.data())
    def message_past_the_owner(self, data: st.DataObject) -> None:
        """The owner has the record alone and cannot tell that it is its own: another's turn."""
        manager = self._draw(data)
        owner = self._owner()
        if manager in self._running() and owner is not None and owner.held is None:
            self._message(manager, owner.name)

    @rule()
    def calm_down(self) -> None:
        """Without new faults the call has one living owner, who knows it, within the bound."""
        self.recover()
        self.pass_time(round(DETECTION_S / TICK_S) + 5, first=9)
        record = self.shared.record
        if self._running() and record is not None:
            assert self.managers[record[0]].held == record[1]
        # Who was silent for less than a lease and lost the call finds out a little later.
        self.pass_time(round(CHECK_S / TICK_S) + 5, first=9)
        holders = [each for each in self._running() if each.held is not None]
        if not self._running():
            return
        if self.shared.record is None:
            assert self.may_be_lost or self.ended_by
            assert not holders
            return
        assert [(each.name, each.held) for each in holders] == [self.shared.record]

    # --- a manager -------------------------------------------------------------------------

    def _start(self, name: str) -> None:
        manager = Manager(name, Lease(LeaseTimes()), generation=self.shared.generation)
        self.managers[name] = manager
        self._tick(manager)

    def _running(self) -> list[Manager]:
        return [each for each in self.managers.values() if not (each.is_dead or each.is_frozen)]

    def _ask_state(self, manager: Manager) -> None:
        if manager.is_cut:
            raise Away
        if manager.generation != self.shared.generation:
            self._hear_of_generation(manager)

    def _hear_of_generation(self, manager: Manager) -> None:
        """`LeaseKeeper._on_new_generation`: renew at once, then all calls look at their records."""
        if manager.is_cut:
            return
        manager.generation = self.shared.generation
        if manager.name == self.ended_by:
            self.shared.record, self.shared.is_ended = None, True
        manager.lease.forget()
        manager.sweep_not_before = manager.check_at = self.now + SETTLE_S
        manager.must_doubt = True
        self._renew(manager)

    def _answered(self, manager: Manager) -> None:
        if manager.loses_answers:
            raise Away

    def _tick(self, manager: Manager) -> None:
        if self.now >= manager.renew_at:
            manager.renew_at = self.now + RENEW_S
            self._renew(manager)
            try:
                self._sweep(manager)
            except Away:
                manager.sweep_not_before = self.now + SETTLE_S
                manager.must_check = True

    def _renew(self, manager: Manager) -> None:
        shared, lease = self.shared, manager.lease
        was_away = lease.is_away
        try:
            self._ask_state(manager)
            version = shared.renew(manager.name, lease.version, self.now)
            self._answered(manager)
            if version is None:
                known = shared.leases.get(manager.name, (0, 0.0))[0]
                lease.superseded(known if shared.lease_of(manager.name, self.now) else 0)
                version = shared.renew(manager.name, lease.version, self.now)
            assert version is not None
            is_new = lease.renewed(self.now, version)
            shared.owners.add(manager.name)
        except Away:
            lease.unanswered()
            if not lease.is_valid(self.now) and self._verdict(manager) is Verdict.LEAVE:
                manager.held = None
            return
        if (is_new or was_away) and manager.held is not None:
            self._make_sure(manager)

    def _verdict(self, manager: Manager) -> Verdict:
        return verdict(self._probe(other) for other in self.managers.values() if other != manager)

    def _probe(self, other: Manager) -> Answer:
        if other.is_dead or other.is_frozen:
            return Answer.SILENT
        return Answer.AWAY if other.lease.is_away else Answer.UP

    def _write(self, manager: Manager, generation: int) -> bool:
        """`CallStore.write`; False: fenced."""
        self._ask_state(manager)
        assert manager.held is not None
        mine, record = (manager.name, manager.held), self.shared.record
        if generation == self.shared.generation:
            is_taken = record == mine
        else:
            is_taken = record is None or record[1] < manager.held or record == mine
            is_taken = is_taken and not self.shared.is_ended
            if is_taken:
                self.shared.owned.add(manager.name)
                self.shared.record = mine
        self._answered(manager)
        return is_taken

    def _make_sure(self, manager: Manager) -> bool:
        """`Custody.write`: True when the call may act."""
        try:
            is_ours = self._write(manager, manager.written_in)
        except Away:
            manager.term = -1
            if manager.lease.is_valid(self.now) or self._verdict(manager) is Verdict.GO_ON:
                return True
            manager.held = None
            return False
        if not is_ours:
            manager.held = None
            return False
        manager.term = manager.lease.term
        manager.written_in = self.shared.generation
        return True

    def _act(self, manager: Manager) -> None:
        """One input of the call: check, then the barrier of the step, then the step is visible."""
        is_sure = manager.term == manager.lease.term and manager.lease.is_valid(self.now)
        if not is_sure and not self._make_sure(manager):
            return
        if self._make_sure(manager) and manager.held is not None and manager.term != -1:
            self._see(manager.name, manager.held)

    def _see(self, name: str, epoch: int) -> None:
        assert not self.ended_by, "an ended call was revived"
        for other, before in self.acts:
            assert before <= epoch, (other, before, name, epoch)
            assert before < epoch or other == name, (other, before, name, epoch)
        self.acts.append((name, epoch))

    # --- taking over -----------------------------------------------------------------------

    def _take(self, manager: Manager, epoch: int) -> None:
        self._ask_state(manager)
        former = self.shared.record[0] if self.shared.record is not None else ""
        is_ours = self.shared.claim(manager.name, epoch)
        self._answered(manager)
        if is_ours and former != manager.name:
            self.shared.owned.discard(former)
        if is_ours:
            manager.held, manager.term = epoch + 1, manager.lease.term
            manager.written_in = self.shared.generation

    def _bring(self, manager: Manager, unreachable: str = "") -> None:
        self._ask_state(manager)
        record = self.shared.record
        if record is None:
            return
        owner, epoch = record
        sight = Sight(owner, epoch, has_lease=self.shared.lease_of(owner, self.now) is not None)
        step = next_step(manager.name, sight)
        if isinstance(step, Probe):
            is_given_up = owner == unreachable
            answer = Answer.SILENT if is_given_up else self._probe(self.managers[owner])
            step = next_step(manager.name, Sight(owner, epoch, has_lease=True, answer=answer))
        if isinstance(step, Claim | Restore):
            self._take(manager, step.epoch)

    def _sweep(self, manager: Manager) -> None:
        if self.now < manager.sweep_not_before or not manager.lease.is_valid(self.now):
            return
        self._ask_state(manager)
        shared = self.shared
        owners = sorted(shared.owners)
        living = {owner for owner in owners if shared.lease_of(owner, self.now) is not None}
        seen = census(manager.name, owners, living)
        for dead in seen.dead:
            if dead not in shared.owned:
                shared.owners.discard(dead)
            elif share(manager.name, [CALL], seen.alive):
                record = shared.record
                if record is not None and record[0] == dead:
                    self._take(manager, record[1])
                shared.owned.discard(dead)
        is_missing = manager.must_check and manager.held is None and shared.record is not None
        if is_missing and shared.record is not None and shared.record[0] == manager.name:
            self._take(manager, shared.record[1])
        manager.must_check = False
        if self.now >= manager.check_at:
            manager.check_at = self.now + CHECK_S
            is_doubted = manager.must_doubt or manager.name not in shared.owned
            manager.must_doubt = False
            if manager.held is not None and is_doubted:
                self._make_sure(manager)


Ownership.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, derandomize=True
)
test_ownership = Ownership.TestCase


def test_who_wakes_up_after_a_failover_does_not_revive_a_call_that_its_successor_ended() -> None:
    world = Ownership()
    world.begin()
    former = world.managers["a"]
    former.is_frozen = True
    world.pass_time(ticks=20, first=0)
    assert world.shared.record is not None
    assert world.shared.record[0] != "a"
    world.hang_up()
    assert world.ended_by
    world.fail_over()
    former.is_frozen = False
    world.pass_time(ticks=20, first=0)
    assert former.held is None
