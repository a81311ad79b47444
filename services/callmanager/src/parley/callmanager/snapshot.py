"""The snapshot of a call in shared state: the only module that encodes and decodes it.

One msgpack map. Some of its keys are public (`parley.model.live_call`), the rest is ours and has a
version; a reader refuses a version that it does not know. It holds all that a successor needs:
both sides' dialogs and descriptions, what was asked and not answered either way, the relay session,
what the call waits for (as wall time) and the events that the bus may not have. `restore.py` makes
the call of it again. Version 1 is version 2 without what was added there.
"""

from typing import Any, Final, cast

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import asdict

from parley.callmanager.call import Call
from parley.callmanager.callee_leg import CalleeLeg
from parley.callmanager.echo import Echo
from parley.callmanager.ending import Ending
from parley.callmanager.errors import MalformedSnapshot
from parley.callmanager.exchange import Exchange, Phase
from parley.callmanager.invite import CallIdentity
from parley.callmanager.journal import PendingEvent
from parley.callmanager.leg import Leg, LegState
from parley.callmanager.outputs import Deadline, Purpose, SentRequest
from parley.callmanager.parts import CallState
from parley.callmanager.pass_through import PassThrough
from parley.callmanager.re_invite import Renegotiation
from parley.callmanager.sip_profile import FLOW_HEADER, PASSED_HEADERS, SOURCE_HEADER
from parley.callmanager.snapshot_parts import (
    ChangeSnapshot,
    ExchangeSnapshot,
    ForkSnapshot,
    GivenSnapshot,
    Headers,
    LegSnapshot,
    MediaSnapshot,
    OrphanSnapshot,
    PassedSnapshot,
    RequestSnapshot,
    SentSnapshot,
)
from parley.model.call import Termination
from parley.model.events import CallProgress
from parley.model.ids import TenantId
from parley.sip.message import Message, Request

VERSION: Final = 2
_READABLE: Final = (1, VERSION)
_ANSWERING_HEADERS: Final = frozenset(("via", "from", "to", "call-id", "cseq"))
"""What of a request is needed to answer it."""
_INVITE_HEADERS: Final = _ANSWERING_HEADERS.union(
    (
        "record-route",
        "contact",
        "max-forwards",
        "max-breadth",
        "privacy",
        SOURCE_HEADER,
        FLOW_HEADER,
    ),
    PASSED_HEADERS,
)
"""What of the caller's INVITE is needed to answer it and to make the INVITEs to phones again."""
_NOT_KEPT: Final = frozenset((Purpose.CANCEL, Purpose.SILENCE))
"""Our requests that a successor does not repeat."""


class Snapshot(Struct, frozen=True, omit_defaults=True):
    """A whole call; `state`, `progress` and `tenant_id` are public and stay as they are.

    Attributes:
        invite: the needed headers of the caller's INVITE, in order; `invite_uri` its Request-URI.
        identity: who calls whom, as the phones see it.
        callee: leg id of the phone that answered; empty while none has.
        is_echo: the call is answered by ourselves; `change` is what its caller asked for last.
        deadlines: Unix seconds by kind.
        written_at: Unix seconds of the last input that the state knows; 0 in version 1.
        ended_at: Unix seconds, once the end is known.
        last_key: key of the last request of ours.
        events: what the bus may not have.
    """

    state: CallState
    progress: CallProgress
    version: int
    tenant_id: TenantId
    epoch: int
    domain: str
    max_duration_s: float
    media_timeout_s: float
    invite: Raw
    legs: list[LegSnapshot]
    callee: str
    media: MediaSnapshot
    deadlines: dict[Deadline, float]
    termination: Termination | None
    sequence: int
    published: int
    events: list[PendingEvent]
    written_at: float = 0.0
    invite_uri: str = ""
    identity: CallIdentity | None = None
    ended_at: float | None = None
    ending: Ending | None = None
    last_key: int = 0
    sent: list[SentSnapshot] = []
    fork: ForkSnapshot | None = None
    exchange: ExchangeSnapshot | None = None
    orphans: list[OrphanSnapshot] = []
    passed: list[PassedSnapshot] = []
    given: list[GivenSnapshot] = []
    is_echo: bool = False
    change: ChangeSnapshot | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)
_headers_decoder = msgspec.msgpack.Decoder(Headers)


def encode_snapshot(call: Call) -> bytes:
    """Encodes the state of a call, as of its last input."""
    parts, setup = call.parts, call.setup
    journal, changes = parts.journal, call.changes
    exchange, orphans, change = None, [], None
    base_s = journal.wall_s(0.0)
    if isinstance(changes, Echo):
        if changes.pending is not None:
            pending = changes.pending
            change = ChangeSnapshot(_to_answer(pending.request), pending.offer.body)
    else:
        exchange = changes.exchange
        orphans = _orphans(changes) if changes.orphans else []
    # By position, as in `_leg`: naming so many fields would take longer than all the rest.
    return _encode(
        Snapshot(
            parts.state,
            journal.progress(),
            VERSION,
            journal.parties.tenant_id,
            setup.epoch,
            setup.domain,
            setup.max_duration_s,
            setup.media_timeout_s,
            _invite(call),
            [_leg(leg, base_s) for leg in parts.legs()],
            "" if parts.callee is None else parts.callee.id,
            _media(call),
            {kind: base_s + at for kind, at in parts.out.deadlines.items()},
            journal.termination,
            journal.sequence,
            journal.published,
            journal.events,
            base_s + parts.now,
            setup.request.uri_text,
            setup.identity,
            None if journal.ended_at is None else base_s + journal.ended_at,
            parts.ending,
            parts.out.last_key,
            [
                SentSnapshot(key, sent.purpose, sent.leg, sent.epoch)
                if sent.purpose is Purpose.INVITE
                else _sent(call, key, sent)
                for key, sent in parts.out.requests.items()
                if sent.purpose not in _NOT_KEPT
            ],
            _fork(call),
            None if exchange is None else _exchange(exchange),
            orphans,
            _passed(call.passed) if call.passed.waiting else [],
            _given(call.passed) if call.passed.given else [],
            isinstance(changes, Echo),
            change,
        )
    )


def decode_snapshot(data: bytes) -> Snapshot:
    """Decodes a snapshot.

    Raises:
        MalformedSnapshot: the bytes are none, or of an unknown version.
    """
    try:
        snapshot = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise MalformedSnapshot(f"not a snapshot: {error}") from error
    if snapshot.version not in _READABLE:
        raise MalformedSnapshot(f"snapshot of version {snapshot.version}, not {_READABLE}")
    return snapshot


def decode_invite(snapshot: Snapshot) -> Headers:
    """The needed headers of the caller's INVITE.

    Raises:
        MalformedSnapshot: they cannot be read.
    """
    try:
        return _headers_decoder.decode(snapshot.invite)
    except msgspec.MsgspecError as error:
        raise MalformedSnapshot(f"not an INVITE's headers: {error}") from error


def _invite(call: Call) -> Raw:
    """Encoded once, and again when the INVITE came by another way."""
    request, encoded = call.parts.caller.request, call.encoded_invite
    if encoded is None or encoded[0] is not request:
        headers = request.pairs(_INVITE_HEADERS)
        encoded = call.encoded_invite = (request, Raw(_encode(headers)))
    return encoded[1]


def _leg(leg: Leg, base_s: float) -> LegSnapshot:
    phone = leg if isinstance(leg, CalleeLeg) else None
    unacked, remote = leg.unacked_request, leg.remote
    early = None if phone is None else phone.early
    return LegSnapshot(
        leg.id,
        leg.state,
        leg.sip_call_id,
        leg.tag,
        leg.party,
        None if leg.dialog is None else leg.dialog.to_record(),
        leg.learn_from,
        leg.told.session_id,
        leg.told.version,
        leg.told.body,
        b"" if remote is None else remote.body,
        b"" if early is None or leg.state is not LegState.INVITED else early.body,
        unacked is not None,
        None if unacked is None or unacked.to.tag is None else _to_answer(unacked),
        None if phone is None else phone.target,
        0 if phone is None else phone.key or 0,
        phone is not None and phone.owes_ack,
        b"" if phone is None else phone.ack_body,
        None if leg.owes_bye is None else tuple(leg.owes_bye),
        leg.owes_move,
        leg.media_note,
        phone is not None and phone.is_cancelled,
        leg.sip_status,
        base_s + leg.started_at,
        None if leg.answered_at is None else base_s + leg.answered_at,
        None if leg.ended_at is None else base_s + leg.ended_at,
    )


def _media(call: Call) -> MediaSnapshot:
    media = call.parts.media
    return MediaSnapshot(
        media.session_id,
        media.relay,
        media.phase,
        media.ports,
        tuple(media.indexes),
        media.old_relay,
    )


def _fork(call: Call) -> ForkSnapshot | None:
    fork, establishment = call.parts.fork, call.establishment
    if fork is None:
        return None
    return ForkSnapshot(
        establishment.ring_timeout_s,
        fork.template.breadth,
        tuple(fork.failures),
        fork.redirected_to,
    )


def _sent(call: Call, key: int, sent: SentRequest) -> SentSnapshot:
    request = sent.request
    if request is None or (sent.purpose is Purpose.RENEGOTIATION and not _is_under_way(call, key)):
        return SentSnapshot(key, sent.purpose, sent.leg, sent.epoch)
    headers = _all_but_via(request)
    whole = RequestSnapshot(request.method, request.uri_text, headers, request.body)
    return SentSnapshot(key, sent.purpose, sent.leg, sent.epoch, whole, sent.hop)


def _is_under_way(call: Call, key: int) -> bool:
    changes = call.changes
    exchange = changes.exchange if isinstance(changes, Renegotiation) else None
    return exchange is not None and exchange.key == key and exchange.phase is Phase.SENT


def _exchange(exchange: Exchange) -> ExchangeSnapshot:
    offer, answer = exchange.offer, exchange.answer
    return ExchangeSnapshot(
        origin=exchange.origin.id,
        target=exchange.target.id,
        request=_to_answer(exchange.request),
        phase=exchange.phase,
        offer=b"" if offer is None else offer.body,
        answer=b"" if answer is None else answer.body,
        key=exchange.key,
        cseq=exchange.cseq,
    )


def _orphans(changes: Renegotiation) -> list[OrphanSnapshot]:
    return [
        OrphanSnapshot(key, leg.id, cseq, body)
        for key, (leg, cseq, body) in changes.orphans.items()
    ]


def _passed(passed: PassThrough) -> list[PassedSnapshot]:
    return [
        PassedSnapshot(key, each.leg.id, _to_answer(each.request))
        for key, each in passed.waiting.items()
    ]


def _given(passed: PassThrough) -> list[GivenSnapshot]:
    return [
        GivenSnapshot(leg, each.status, each.reason, _all_but_via(each), each.body)
        for leg, each in passed.given.items()
    ]


def _to_answer(request: Request) -> RequestSnapshot:
    return RequestSnapshot(request.method, request.uri_text, request.pairs(_ANSWERING_HEADERS))


def _all_but_via(message: Message) -> Headers:
    names = set(message.header_names())
    names.discard("via")
    return message.pairs(names)


def _encode(value: Any) -> bytes:
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        # Names that are no UTF-8 travel as surrogates, which msgpack does not know. A successor
        # may show a question mark there; nothing is found by such a text.
        return _encoder.encode(_readable(value))


def _readable(value: Any) -> Any:
    """The same in plain types, its texts without surrogates."""
    if isinstance(value, str) and type(value) is str:
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Struct):
        fields = _readable(asdict(value))
        return list(fields.values()) if type(value).__struct_config__.array_like else fields
    if isinstance(value, dict):
        return {_readable(key): _readable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(each) for each in cast("list[Any]", value)]
    return value
