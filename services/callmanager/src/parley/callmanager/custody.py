"""Whether a call is ours: its record in state, and when it was last found so.

A call acts only while it is sure of its record: it was written in the present term of the lease
and the lease is valid. Otherwise it is written first. A write that is fenced ends the call's life
here in silence; one that state does not answer leaves the call unprotected, unless another call
manager reaches state and thus takes our calls over.
"""

from msgspec import Struct

from parley.callmanager.call import Call
from parley.callmanager.errors import AlreadyThere, Fenced
from parley.callmanager.lease_keeper import LeaseKeeper
from parley.callmanager.ownership import Verdict
from parley.callmanager.snapshot import encode_snapshot
from parley.callmanager.store import CallStore, Stored, Written

_NEVER = -1


class MakeSure(Struct, frozen=True):
    """Barrier of the mailbox's own: write before the next input, to learn whose the call is."""


class Leave(Struct, frozen=True):
    """The last action of a call that is handed over: write it and forget it."""


MAKE_SURE = MakeSure()
LEAVE = Leave()


class Custody:
    """The record of one call.

    Attributes:
        is_written: what the call's present step has put out is in state.
        stored: what is known of the record; None before its first write.
    """

    __slots__ = ("_call", "_checked", "_keeper", "_store", "_term", "is_written", "stored")

    def __init__(self, call: Call, store: CallStore, keeper: LeaseKeeper) -> None:
        self._call = call
        self._store = store
        self._keeper = keeper
        self._term = keeper.lease.term
        self._checked = False
        self.is_written = False
        self.stored: Stored | None = None

    def adopt(self) -> None:
        """The record has just been claimed."""
        self.stored = self._new_record()
        self.stored.generation = self._store.generation

    def is_sure(self) -> bool:
        """Says whether the call may act on an input without asking.

        A call that was never written is nobody else's: its first write finds out. The answer of a
        check counts once, for the input that it was made for.
        """
        if self._checked:
            self._checked = False
            return True
        return self.stored is None or self._keeper.is_sure(self._term)

    def doubt(self) -> None:
        """Writes before the next input, whatever the lease says."""
        self._term = _NEVER

    async def make_sure(self) -> None:
        """Checks whose the call is, for the next input.

        Raises:
            Fenced: it is another's.
        """
        await self.write()
        self._checked = True

    async def ensure(self) -> None:
        """Checks whose the call is unless that is sure.

        Raises:
            Fenced: it is another's.
        """
        if not self.is_sure():
            await self.write()

    async def write(self) -> None:
        """Writes the call's state.

        Raises:
            Fenced: the call is another's.
            AlreadyThere: at the first write: there is such a call already.
        """
        self.is_written = True
        keeper = self._keeper
        term, written = keeper.lease.term, await self._put()
        if written is Written.AWAY and not self._is_protected:
            if await keeper.judge() is Verdict.LEAVE:
                raise Fenced
            if keeper.is_valid:
                # State came back while the others were asked: it may say that the call is theirs.
                term, written = keeper.lease.term, await self._put()
        if written is Written.FENCED:
            raise Fenced
        self._call.parts.journal.note_written()
        self._term = term if written is Written.DONE else _NEVER

    async def _put(self) -> Written:
        snapshot = encode_snapshot(self._call)
        if self.stored is not None:
            return await self._store.write(self.stored, snapshot)
        self.stored = self._new_record()
        written = await self._store.create(self.stored, snapshot)
        if written is Written.FENCED:
            raise AlreadyThere
        return written

    async def delete(self) -> None:
        """Removes the record of the ended call."""
        if self.stored is not None:
            await self._store.delete(self.stored)

    @property
    def _is_protected(self) -> bool:
        """Whether nobody can have claimed the call while state did not answer."""
        return self._store.is_immediate or self._keeper.is_valid

    def _new_record(self) -> Stored:
        setup, journal = self._call.setup, self._call.parts.journal
        parties = setup.parties
        started_s = journal.wall_s(journal.started_at)
        return Stored(parties.call_id, parties.tenant_id, started_s, setup.epoch)
