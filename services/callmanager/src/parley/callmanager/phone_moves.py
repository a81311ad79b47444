"""Tells the phones of a call that has moved where their media goes now, by re-INVITEs.

What a phone is offered is what it was told last, with the new ports. It is asked as soon as its
dialog is confirmed and no other exchange is under way; "later" is taken for an answer, and asked
again (RFC 3261 14.1). What it still owes us is a flag of its leg (`owes_move`), so that it is in
the snapshot and a successor goes on.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from parley.callmanager.actions import MediaPurpose
from parley.callmanager.callee_leg import CalleeLeg
from parley.callmanager.ending import PHONE_LOST, Ending
from parley.callmanager.leg import Leg
from parley.callmanager.outputs import Purpose
from parley.callmanager.parts import CallParts
from parley.callmanager.party_description import (
    DescriptionRefused,
    PartyDescription,
    read_description,
)
from parley.callmanager.re_invite import REQUEST_PENDING
from parley.callmanager.sip_profile import set_body
from parley.model.media import LegSpec, StreamSpec
from parley.sdp import answer_matches_offer, parse_sdp, remote_streams
from parley.sip.errors import RemoteProtocolError
from parley.sip.ids import Ids
from parley.sip.message import Request, Response

MAX_TRIES: Final = 8
"""Times that a phone is asked that answers each time with "later"."""

_GONE: Final = frozenset((408, 481))
_LATER: Final = frozenset((500, 503))
_LONGEST_WISH_S: Final = 10
_OWN_CALL_ID_MS: Final = (2100, 4000)
_OTHER_CALL_ID_MS: Final = (0, 2000)
_GLARE_STEP_MS: Final = 10


class PhoneMoves:
    """The re-INVITEs to both phones.

    Attributes:
        turns: when a phone that said "later" is asked again, by leg.
    """

    __slots__ = ("_asked", "_ids", "_parts", "_tries", "turns")

    def __init__(self, parts: CallParts, ids: Ids) -> None:
        self.turns: dict[str, float] = {}
        self._parts = parts
        self._ids = ids
        # Requests without a final response, by key.
        self._asked: dict[int, Leg] = {}
        self._tries: dict[str, int] = {}

    @property
    def is_owed(self) -> bool:
        """A phone of the call in conversation has not moved."""
        return any(leg.owes_move for leg in self.parties())

    def begin(self) -> None:
        """The session's ports may be others: notes which phones were told the old ones."""
        parts = self._parts
        for leg in parts.legs():
            is_told = parts.caller.is_answered if leg is parts.caller else not leg.is_closed
            if is_told and leg.told.body and self._is_elsewhere(leg):
                leg.owes_move = True
                self._tries.pop(leg.id, None)
                self.turns.pop(leg.id, None)

    def _is_elsewhere(self, leg: Leg) -> bool:
        local = {each.index: each for each in self._parts.media.streams(leg.media_leg)}
        return any(
            stream.active
            and stream.index in local
            and (stream.ip, stream.rtp_port)
            != (local[stream.index].ip, local[stream.index].rtp_port)
            for stream in remote_streams(parse_sdp(leg.told.body))
        )

    def resume(self, *, is_settled: bool) -> None:
        """After a takeover: asks once more what has no answer; to the phone a retransmission."""
        parts = self._parts
        for key, sent in list(parts.out.requests.items()):
            leg = parts.leg(sent.leg)
            if sent.purpose is not Purpose.REHOMING or leg is None or not leg.owes_move:
                continue
            if is_settled:
                # Too old to be one: the phone is asked anew.
                del parts.out.requests[key]
            else:
                self._asked[key] = leg
                parts.out.send_again(key)

    def refuses(self, request: Request) -> bool:
        """Whether a phone's re-INVITE or UPDATE crosses one of ours (491, RFC 3261 14.2)."""
        return bool(self._asked) and (request.method == "INVITE" or bool(request.body))

    def settle(self, now: float) -> None:
        """Asks the phones that can be asked now."""
        for leg in self.parties():
            if self._may_ask(leg, now):
                self._ask(leg)

    def _may_ask(self, leg: Leg, now: float) -> bool:
        return (
            leg.owes_move
            and leg.is_up
            and leg.unacked is None
            and not (isinstance(leg, CalleeLeg) and leg.owes_ack)
            and leg not in self._asked.values()
            and now >= self.turns.get(leg.id, now)
        )

    def _ask(self, leg: Leg) -> None:
        out = self._parts.out
        for key, sent in list(out.requests.items()):
            if sent.purpose is Purpose.REHOMING and sent.leg == leg.id:
                del out.requests[key]
        streams = self._parts.media.streams(leg.media_leg)
        request = leg.new_request("INVITE")
        set_body(request, leg.told.relay(parse_sdp(leg.told.body), streams))
        self.turns.pop(leg.id, None)
        self._tries[leg.id] = self._tries.get(leg.id, 0) + 1
        self._asked[leg.send(request, Purpose.REHOMING)] = leg

    def receive_response(self, key: int, response: Response, now: float) -> Ending | None:
        """Takes what a phone says to our re-INVITE."""
        status = response.status
        if status < 200:
            return None
        leg = self._asked.pop(key, None)
        if leg is None:
            if status < 300:
                self._acknowledge(key)
            return None
        self._parts.out.join_write(now)
        if status < 300:
            self._accept(leg, key, response)
            return None
        self._parts.out.requests.pop(key, None)
        if status in _GONE:
            return self._lose(leg, key, now)
        wait_s = self._wait_s(leg, response)
        if wait_s is not None and self._tries.get(leg.id, 0) < MAX_TRIES:
            self.turns[leg.id] = now + wait_s
        else:
            self._refuse(leg, f"relay-change-refused-{status}")
        return None

    def receive_failure(self, key: int, now: float) -> Ending | None:
        """The phone said nothing, or could not be reached (RFC 3261 12.2.1.2)."""
        leg = self._asked.pop(key, None)
        return None if leg is None else self._lose(leg, key, now)

    def _lose(self, leg: Leg, key: int, now: float) -> Ending | None:
        """The phone is not where it was asked; if it has moved since, it is asked there."""
        if not leg.has_spoken_since(key):
            return PHONE_LOST
        self.turns[leg.id] = now
        return None

    def _accept(self, leg: Leg, key: int, response: Response) -> None:
        # With an unusable Contact the old target stays; the answer counts.
        with suppress(RemoteProtocolError):
            leg.refresh(response)
        self._acknowledge(key)
        answer = _description(response)
        if answer is None or not answer_matches_offer(parse_sdp(leg.told.body), answer.sdp):
            self._refuse(leg, "relay-change-bad-answer")
            return
        # The call may have moved on since we asked.
        leg.owes_move = self._is_elsewhere(leg)
        leg.media_note = ""
        leg.remote = answer
        specs = self.specs(leg)
        if any(self._parts.media.is_news(leg.media_leg, spec) for spec in specs):
            self._tell_relay(leg, specs)

    def _refuse(self, leg: Leg, note: str) -> None:
        """The call goes on without this phone's media, which the CDR says and nobody waits for."""
        leg.owes_move = False
        leg.media_note = note
        self._tell_relay(leg, [replace(spec, active=False) for spec in self.specs(leg)])

    def _tell_relay(self, leg: Leg, specs: list[StreamSpec]) -> None:
        command = self._parts.media.update([LegSpec(leg.media_leg, specs)])
        self._parts.out.command(MediaPurpose.MOVED, command)

    def specs(self, leg: Leg) -> list[StreamSpec]:
        """What the relay is to know of a phone's streams."""
        other = self._parts.opposite(leg)
        opened = self._parts.media.indexes
        if leg.remote is None:
            return []
        peer = None if other is None else other.remote
        is_echo = self._parts.fork is None
        return leg.remote.specs(leg.learn_from, peer, opened, is_echo=is_echo)

    def _acknowledge(self, key: int) -> None:
        sent = self._parts.out.requests.get(key)
        leg = None if sent is None else self._parts.leg(sent.leg)
        request = None if sent is None else sent.request
        if request is not None and leg is not None:
            leg.acknowledge(request.cseq.number)

    def _wait_s(self, leg: Leg, response: Response) -> float | None:
        """How long to wait before the next try; None when there is to be none."""
        if response.status == REQUEST_PENDING:
            return self._glare_s(leg)
        wish = (response.get("retry-after") or "").strip()
        if response.status in _LATER and wish.isdecimal() and int(wish) <= _LONGEST_WISH_S:
            return float(wish)
        return None

    def _glare_s(self, leg: Leg) -> float:
        """A random time that differs for both sides of a dialog (RFC 3261 14.1)."""
        is_own = leg.dialog is not None and leg.dialog.is_uac
        low_ms, high_ms = _OWN_CALL_ID_MS if is_own else _OTHER_CALL_ID_MS
        steps = (high_ms - low_ms) // _GLARE_STEP_MS + 1
        number = int.from_bytes(self._ids.token(4).encode())
        return (low_ms + number % steps * _GLARE_STEP_MS) / 1000

    def parties(self) -> Iterable[Leg]:
        """The legs that are in conversation, or about to be."""
        callee = self._parts.callee
        return (self._parts.caller,) if callee is None else (self._parts.caller, callee)

    def abort(self) -> None:
        """The call ends: no phone is asked any more."""
        self._asked.clear()
        self.turns.clear()


def _description(response: Response) -> PartyDescription | None:
    try:
        return read_description(response)
    except DescriptionRefused:
        return None
