"""Shared state and call managers of the ownership model."""

from dataclasses import dataclass, field

from parley.callmanager.lease import Lease


class Away(Exception):
    """State did not answer; what was asked may have happened."""


@dataclass
class Shared:
    """State: one record, its indexes, the leases."""

    record: tuple[str, int] | None = None
    is_ended: bool = False
    owned: set[str] = field(default_factory=set)
    owners: set[str] = field(default_factory=set)
    leases: dict[str, tuple[int, float]] = field(default_factory=dict)
    version: int = 0
    generation: int = 1

    def lease_of(self, name: str, now: float) -> bytes | None:
        version, until = self.leases.get(name, (0, 0.0))
        return str(version).encode() if now < until else None

    def renew(self, name: str, version: int, now: float) -> int | None:
        current = self.leases[name][0] if self.lease_of(name, now) else 0
        if current != version:
            return None
        self.version += 1
        self.leases[name] = (self.version, now + 1.0)
        return self.version

    def claim(self, name: str, epoch: int) -> bool:
        self.owned.add(name)
        if self.is_ended or self.record is None or self.record[1] != epoch:
            return False
        self.record = name, epoch + 1
        return True


@dataclass
class Manager:
    """One instance.

    Attributes:
        held: the epoch under which it acts for the call.
        term: of its lease when the call was last found to be its own.
        generation: of state as it knows it.
        written_in: generation of state in which it last wrote the call.
    """

    name: str
    lease: Lease
    held: int | None = None
    term: int = -1
    generation: int = 0
    written_in: int = 1
    is_dead: bool = False
    is_frozen: bool = False
    is_cut: bool = False
    loses_answers: bool = False
    renew_at: float = 0.0
    sweep_not_before: float = 0.0
    must_check: bool = False
    must_doubt: bool = False
    check_at: float = 0.0
