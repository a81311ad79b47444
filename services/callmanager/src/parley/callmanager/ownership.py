"""Who acts for a call: the decisions, without I/O.

A message for a call that is not here, and the calls of an instance that is gone: what is known of
record, lease and owner goes in, what is to be done comes out. A wrong claim is safe, for the former
owner is fenced at its next write; so these rules aim at speed and at one opinion of all, not at
certainty.
"""

from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from typing import Final

from msgspec import Struct

from parley.model.rendezvous import choose

WARM_S: Final = 10.0
"""A call whose owner was heard of so recently goes on; phones and relay have not given it up."""


class Answer(Enum):
    """What a probe of another call manager brought."""

    UP = "up"
    AWAY = "away"
    SILENT = "silent"


class Sight(Struct, frozen=True):
    """What is known of a call and its owner.

    Attributes:
        owner: of the record; empty when there is no record.
        epoch: of the record.
        has_lease: whether the owner's lease stands.
        answer: of the owner to a probe; None while it was not asked.
    """

    owner: str
    epoch: int = 0
    has_lease: bool = False
    answer: Answer | None = None


class Gone(Struct, frozen=True):
    """There is no such call (any more)."""


class Restore(Struct, frozen=True):
    """The record is ours: claim it again and go on from the snapshot."""

    epoch: int


class Claim(Struct, frozen=True):
    """The owner is gone: claim from this epoch."""

    epoch: int


class Probe(Struct, frozen=True):
    """Ask the owner directly first."""

    owner: str


class Redirect(Struct, frozen=True):
    """The owner is alive: it gets the message."""

    owner: str


Step = Gone | Restore | Claim | Probe | Redirect


def next_step(me: str, sight: Sight) -> Step:
    """Decides what to do about a call that is not here but asked for.

    An owner that answers keeps its call even when it does not reach state for the moment: it goes
    on unprotected or hands over by itself. An owner whose lease is gone has been interrupted, and
    will find out before it acts.
    """
    if not sight.owner:
        return Gone()
    if sight.owner == me:
        return Restore(sight.epoch)
    if not sight.has_lease or sight.answer is Answer.SILENT:
        return Claim(sight.epoch)
    if sight.answer is None:
        return Probe(sight.owner)
    return Redirect(sight.owner)


class Census(Struct, frozen=True):
    """Who may own calls, as a sweeper sees it.

    Attributes:
        alive: instances whose lease stands, this one included.
        dead: instances that are known as owners and have no lease.
    """

    alive: tuple[str, ...]
    dead: tuple[str, ...]


def census(me: str, owners: Sequence[str], living: Collection[str]) -> Census:
    """Divides the known owners: those with a lease live, and this instance, which asks."""
    alive = {me, *living}
    dead = (owner for owner in owners if owner not in alive)
    return Census(tuple(sorted(alive)), tuple(dead))


def share(me: str, call_ids: Iterable[str], alive: Sequence[str]) -> list[str]:
    """The calls of a dead instance that this one has to take, in the order given."""
    return [call_id for call_id in call_ids if choose(call_id, alive) == me]


class Verdict(Enum):
    """What becomes of an instance that does not reach state."""

    GO_ON = "go-on"
    LEAVE = "leave"


def verdict(answers: Iterable[Answer]) -> Verdict:
    """Decides for an instance whose lease has run out while state does not answer it.

    When another one reaches state our calls are claimed there: we leave them. When none does,
    nobody can claim, and calls go on unprotected.
    """
    return Verdict.LEAVE if Answer.UP in answers else Verdict.GO_ON


def is_cold(*, was_seen: bool, was_alone: bool, silent_s: float) -> bool:
    """Says whether the calls of a dead instance are over rather than to be taken over.

    Args:
        was_seen: this instance has seen the other one alive.
        was_alone: it has seen nobody else alive either, so the whole platform was down.
        silent_s: seconds since the dead one was last heard of.
    """
    return not was_seen and (was_alone or silent_s > WARM_S)
