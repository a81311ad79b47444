"""Cutting streams into messages (RFC 3261 18.3, RFC 5626 4.4.1)."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.sip.framing import FramingError, KeepAlive, Limits, StreamFramer
from parley.sip.message import Request, Response, salvage

DATA = Path(__file__).parents[2] / "data" / "sip"
FILES = [path.read_bytes() for path in sorted(DATA.glob("*.sip"))]
INVITE = (DATA / "invite.sip").read_bytes()


def drain(framer: StreamFramer) -> list[bytes | KeepAlive]:
    items: list[bytes | KeepAlive] = []
    while (item := framer.next_message()) is not None:
        items.append(item if isinstance(item, KeepAlive) else bytes(item))
    return items


@given(cuts=st.lists(st.integers(0, sum(map(len, FILES))), max_size=12))
def test_messages_come_out_whole_however_the_stream_is_cut(cuts: list[int]) -> None:
    stream = b"".join(FILES)
    framer = StreamFramer()
    items: list[bytes | KeepAlive] = []
    edges = [0, *sorted(cuts), len(stream)]
    for start, end in zip(edges, edges[1:], strict=False):
        framer.receive_data(stream[start:end])
        items += drain(framer)
    assert items == FILES


def test_messages_come_out_whole_when_bytes_come_one_by_one() -> None:
    framer = StreamFramer()
    items: list[bytes | KeepAlive] = []
    for value in INVITE + b"\r\n\r\n" + INVITE:
        framer.receive_data(bytes([value]))
        items += drain(framer)
    assert items == [INVITE, KeepAlive.PING, INVITE]


def test_double_line_ends_in_a_row_are_one_ping_and_a_single_one_is_skipped() -> None:
    framer = StreamFramer()
    framer.receive_data(b"\r\n")
    assert framer.next_message() is None
    framer.receive_data(b"\r\n\r\n\r\n\r\n" + INVITE)
    assert drain(framer) == [KeepAlive.PING, INVITE]
    framer.receive_data(b"\r\n\r")
    assert framer.next_message() is None
    framer.receive_data(b"\n")
    assert framer.next_message() is KeepAlive.PING


def test_a_client_takes_line_ends_in_a_row_for_one_pong() -> None:
    framer = StreamFramer(is_client=True)
    framer.receive_data(b"\r\n\r\n" + INVITE)
    assert drain(framer) == [KeepAlive.PONG, INVITE]


def test_a_stream_without_content_length_is_closed_with_an_answer() -> None:
    framer = StreamFramer()
    framer.receive_data(INVITE.replace(b"Content-Length", b"X-Length"))
    with pytest.raises(FramingError) as caught:
        framer.next_message()
    assert (caught.value.status, caught.value.can_continue) == (400, False)
    assert salvage(caught.value.data) is not None
    framer.receive_data(INVITE)
    assert framer.next_message() is None


def test_an_illegal_message_with_a_sure_end_does_not_kill_the_stream() -> None:
    framer = StreamFramer()
    framer.receive_data(INVITE.replace(b"CSeq: 4711 INVITE", b"CSeq: 4711 BYE")[:-5])
    assert framer.next_message() is None
    framer.receive_data(INVITE[-5:] + INVITE)
    with pytest.raises(FramingError) as caught:
        framer.next_message()
    assert (caught.value.status, caught.value.can_continue) == (400, True)
    assert salvage(caught.value.data) is not None
    assert drain(framer) == [INVITE]


@pytest.mark.parametrize(
    "data",
    [
        INVITE.replace(b"Content-Length: ", b"l: 3\r\nContent-Length: "),
        INVITE.replace(b"Content-Length: ", b"Content-Length: -"),
        INVITE.replace(b"Max-Forwards: 70", b"Max-Forwards: 7\nContent-Length: 3"),
        INVITE.replace(b"Max-Forwards: 70", b"no colon"),
        b"\x16\x03\x01\x02\x00" * 20 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\n\n\r\n\r\n",
    ],
)
def test_a_stream_with_an_uncertain_boundary_is_dead(data: bytes) -> None:
    framer = StreamFramer()
    framer.receive_data(data)
    with pytest.raises(FramingError) as caught:
        framer.next_message()
    assert not caught.value.can_continue
    assert framer.next_message() is None


def test_headers_and_bodies_have_limits() -> None:
    framer = StreamFramer(Limits(max_header_bytes=1000, max_body_bytes=100))
    framer.receive_data(INVITE)
    with pytest.raises(FramingError) as caught:
        framer.next_message()
    assert caught.value.status == 413
    assert salvage(caught.value.data) is not None
    framer = StreamFramer(Limits(max_header_bytes=1000))
    framer.receive_data(INVITE.partition(b"\r\n\r\n")[0] + b"\r\nSubject: ")
    for _ in range(10):
        assert framer.next_message() is None
        framer.receive_data(b"x" * 30)
    framer.receive_data(b"x" * 700)
    with pytest.raises(FramingError) as caught:
        framer.next_message()
    assert caught.value.status == 513
    assert salvage(caught.value.data) is not None


def test_requests_and_responses_come_typed() -> None:
    framer = StreamFramer()
    framer.receive_data(INVITE + (DATA / "ringing.sip").read_bytes())
    assert isinstance(framer.next_message(), Request)
    assert isinstance(framer.next_message(), Response)
