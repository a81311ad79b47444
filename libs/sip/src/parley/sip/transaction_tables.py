"""The four transaction machines as data (RFC 3261 17.1, 17.2; RFC 6026 for Accepted).

Each table maps (state, input) to the next state and the effects, in order. A pair that is absent
is legal and does nothing: late provisionals, retransmissions to absorb, second finals of our own.
`ENTRY_TIMERS` says which timers run in a state; entering a state stops all others. The classes
in `client_transaction.py` and `server_transaction.py` only carry out effects.
"""

from enum import IntEnum
from typing import NamedTuple

from parley.sip.timers import Timer


class State(IntEnum):
    """States of all four machines, named as in the RFCs."""

    CALLING = 0
    TRYING = 1
    PROCEEDING = 2
    COMPLETED = 3
    ACCEPTED = 4
    CONFIRMED = 5
    TERMINATED = 6


class Input(IntEnum):
    """What moves a machine: a message class, a timer or a transport failure."""

    PROVISIONAL = 0
    SUCCESS = 1
    FAILURE = 2
    REQUEST = 3
    ACK = 4
    RETRANSMIT = 5
    EXPIRE = 6
    TRANSPORT_ERROR = 7
    SILENCE = 8
    """Timer C: rang too long without news and was not cancelled yet (16.8)."""


class Effect(IntEnum):
    """What a transition does besides changing the state."""

    DELIVER = 0
    """Hand the received message to the transaction's user."""
    NOTE_PROVISIONAL = 1
    """Send a waiting CANCEL (9.1), restart timer C (16.7)."""
    SEND_ACK = 2
    """Acknowledge a non-2xx final response hop by hop (17.1.1.3)."""
    SEND_CANCEL = 3
    """Cancel by ourselves."""
    TRANSMIT = 4
    """Send the response at hand and keep it for retransmissions."""
    TRANSMIT_AGAIN = 5
    """Send the request, or the last response, once more."""
    REPEAT_TIMER = 6
    """Start the retransmission timer with the next interval."""
    SEND_TRYING = 7
    """Send 100 because the user said nothing in time (17.2.1)."""
    REPORT_TIMEOUT = 8
    REPORT_TRANSPORT = 9


class Row(NamedTuple):
    """One transition."""

    next_state: State
    effects: tuple[Effect, ...] = ()


Table = dict[tuple[State, Input], Row]

_RETRANSMIT = (Effect.TRANSMIT_AGAIN, Effect.REPEAT_TIMER)
_TIMED_OUT = Row(State.TERMINATED, (Effect.REPORT_TIMEOUT,))
_UNREACHABLE = Row(State.TERMINATED, (Effect.REPORT_TRANSPORT,))
_DONE = Row(State.TERMINATED)

# RFC 3261 17.1.1 and figure 5, as amended by RFC 6026 8.4.
INVITE_CLIENT: Table = {
    (State.CALLING, Input.PROVISIONAL): Row(
        State.PROCEEDING, (Effect.NOTE_PROVISIONAL, Effect.DELIVER)
    ),
    (State.CALLING, Input.SUCCESS): Row(State.ACCEPTED, (Effect.DELIVER,)),
    (State.CALLING, Input.FAILURE): Row(State.COMPLETED, (Effect.SEND_ACK, Effect.DELIVER)),
    (State.CALLING, Input.RETRANSMIT): Row(State.CALLING, _RETRANSMIT),
    (State.CALLING, Input.EXPIRE): _TIMED_OUT,
    (State.CALLING, Input.TRANSPORT_ERROR): _UNREACHABLE,
    (State.PROCEEDING, Input.PROVISIONAL): Row(
        State.PROCEEDING, (Effect.NOTE_PROVISIONAL, Effect.DELIVER)
    ),
    (State.PROCEEDING, Input.SUCCESS): Row(State.ACCEPTED, (Effect.DELIVER,)),
    (State.PROCEEDING, Input.FAILURE): Row(State.COMPLETED, (Effect.SEND_ACK, Effect.DELIVER)),
    (State.PROCEEDING, Input.SILENCE): Row(State.PROCEEDING, (Effect.SEND_CANCEL,)),
    (State.PROCEEDING, Input.EXPIRE): _TIMED_OUT,
    # The RFC knows no transport error here; ours is a connection that broke, over which the
    # final response would have come: waiting out timer C helps nobody.
    (State.PROCEEDING, Input.TRANSPORT_ERROR): _UNREACHABLE,
    (State.COMPLETED, Input.FAILURE): Row(State.COMPLETED, (Effect.SEND_ACK,)),
    (State.COMPLETED, Input.EXPIRE): _DONE,
    # The user has the final response; that our ACK did not leave changes nothing for it.
    (State.COMPLETED, Input.TRANSPORT_ERROR): _DONE,
    (State.ACCEPTED, Input.SUCCESS): Row(State.ACCEPTED, (Effect.DELIVER,)),
    (State.ACCEPTED, Input.EXPIRE): _DONE,
}

# RFC 3261 17.1.2 and figure 6.
NON_INVITE_CLIENT: Table = {
    (State.TRYING, Input.PROVISIONAL): Row(State.PROCEEDING, (Effect.DELIVER,)),
    (State.TRYING, Input.SUCCESS): Row(State.COMPLETED, (Effect.DELIVER,)),
    (State.TRYING, Input.FAILURE): Row(State.COMPLETED, (Effect.DELIVER,)),
    (State.TRYING, Input.RETRANSMIT): Row(State.TRYING, _RETRANSMIT),
    (State.TRYING, Input.EXPIRE): _TIMED_OUT,
    (State.TRYING, Input.TRANSPORT_ERROR): _UNREACHABLE,
    (State.PROCEEDING, Input.PROVISIONAL): Row(State.PROCEEDING, (Effect.DELIVER,)),
    (State.PROCEEDING, Input.SUCCESS): Row(State.COMPLETED, (Effect.DELIVER,)),
    (State.PROCEEDING, Input.FAILURE): Row(State.COMPLETED, (Effect.DELIVER,)),
    (State.PROCEEDING, Input.RETRANSMIT): Row(State.PROCEEDING, _RETRANSMIT),
    (State.PROCEEDING, Input.EXPIRE): _TIMED_OUT,
    (State.PROCEEDING, Input.TRANSPORT_ERROR): _UNREACHABLE,
    (State.COMPLETED, Input.EXPIRE): _DONE,
}

# RFC 3261 17.2.1 and figure 7, as amended by RFC 6026 8.5 and 8.7.
INVITE_SERVER: Table = {
    (State.PROCEEDING, Input.REQUEST): Row(State.PROCEEDING, (Effect.TRANSMIT_AGAIN,)),
    (State.PROCEEDING, Input.RETRANSMIT): Row(State.PROCEEDING, (Effect.SEND_TRYING,)),
    (State.PROCEEDING, Input.PROVISIONAL): Row(State.PROCEEDING, (Effect.TRANSMIT,)),
    (State.PROCEEDING, Input.SUCCESS): Row(State.ACCEPTED, (Effect.TRANSMIT,)),
    (State.PROCEEDING, Input.FAILURE): Row(State.COMPLETED, (Effect.TRANSMIT,)),
    (State.PROCEEDING, Input.TRANSPORT_ERROR): _UNREACHABLE,
    (State.COMPLETED, Input.REQUEST): Row(State.COMPLETED, (Effect.TRANSMIT_AGAIN,)),
    (State.COMPLETED, Input.RETRANSMIT): Row(State.COMPLETED, _RETRANSMIT),
    (State.COMPLETED, Input.ACK): Row(State.CONFIRMED),
    (State.COMPLETED, Input.EXPIRE): _TIMED_OUT,
    (State.COMPLETED, Input.TRANSPORT_ERROR): _UNREACHABLE,
    (State.CONFIRMED, Input.EXPIRE): _DONE,
    # A forked INVITE may bring a proxy several 2xx; a UAS core retransmits its own (13.3.1.4).
    (State.ACCEPTED, Input.SUCCESS): Row(State.ACCEPTED, (Effect.TRANSMIT,)),
    (State.ACCEPTED, Input.ACK): Row(State.ACCEPTED, (Effect.DELIVER,)),
    (State.ACCEPTED, Input.EXPIRE): _DONE,
    (State.ACCEPTED, Input.TRANSPORT_ERROR): Row(State.ACCEPTED, (Effect.REPORT_TRANSPORT,)),
}

# RFC 3261 17.2.2 and figure 8.
NON_INVITE_SERVER: Table = {
    (State.TRYING, Input.PROVISIONAL): Row(State.PROCEEDING, (Effect.TRANSMIT,)),
    (State.TRYING, Input.SUCCESS): Row(State.COMPLETED, (Effect.TRANSMIT,)),
    (State.TRYING, Input.FAILURE): Row(State.COMPLETED, (Effect.TRANSMIT,)),
    (State.TRYING, Input.EXPIRE): _DONE,
    (State.PROCEEDING, Input.REQUEST): Row(State.PROCEEDING, (Effect.TRANSMIT_AGAIN,)),
    (State.PROCEEDING, Input.PROVISIONAL): Row(State.PROCEEDING, (Effect.TRANSMIT,)),
    (State.PROCEEDING, Input.SUCCESS): Row(State.COMPLETED, (Effect.TRANSMIT,)),
    (State.PROCEEDING, Input.FAILURE): Row(State.COMPLETED, (Effect.TRANSMIT,)),
    (State.PROCEEDING, Input.EXPIRE): _DONE,
    (State.PROCEEDING, Input.TRANSPORT_ERROR): _UNREACHABLE,
    (State.COMPLETED, Input.REQUEST): Row(State.COMPLETED, (Effect.TRANSMIT_AGAIN,)),
    (State.COMPLETED, Input.EXPIRE): _DONE,
    (State.COMPLETED, Input.TRANSPORT_ERROR): _UNREACHABLE,
}


class Entry(NamedTuple):
    """The timers of a state, started when it is entered from another.

    Attributes:
        retransmit: the timer behind `Input.RETRANSMIT`.
        expire: the timer behind `Input.EXPIRE`; if its duration is 0 (D, I, J, K on reliable
            transports) the machine goes straight on to Terminated.
        keep: the timers that run go on running instead.
    """

    retransmit: Timer | None = None
    expire: Timer | None = None
    keep: bool = False


class Machine(NamedTuple):
    """One machine: where it starts, its transitions and its timers."""

    initial: State
    rows: Table
    entries: dict[State, Entry]


INVITE_CLIENT_MACHINE = Machine(
    State.CALLING,
    INVITE_CLIENT,
    {
        State.CALLING: Entry(Timer.A, Timer.B),
        State.PROCEEDING: Entry(expire=Timer.C),
        State.COMPLETED: Entry(expire=Timer.D),
        State.ACCEPTED: Entry(expire=Timer.M),
    },
)
NON_INVITE_CLIENT_MACHINE = Machine(
    State.TRYING,
    NON_INVITE_CLIENT,
    {
        State.TRYING: Entry(Timer.E, Timer.F),
        State.PROCEEDING: Entry(keep=True),
        State.COMPLETED: Entry(expire=Timer.K),
    },
)
INVITE_SERVER_MACHINE = Machine(
    State.PROCEEDING,
    INVITE_SERVER,
    {
        State.PROCEEDING: Entry(Timer.TRYING),
        State.COMPLETED: Entry(Timer.G, Timer.H),
        State.CONFIRMED: Entry(expire=Timer.I),
        State.ACCEPTED: Entry(expire=Timer.L),
    },
)
NON_INVITE_SERVER_MACHINE = Machine(
    State.TRYING,
    NON_INVITE_SERVER,
    {
        State.TRYING: Entry(expire=Timer.ABANDONED),
        State.PROCEEDING: Entry(keep=True),
        State.COMPLETED: Entry(expire=Timer.J),
    },
)
