"""10,000 mutated messages: only declared errors leave the parser, the framer and typed access.

Mutations come from a seeded generator (cheap, repeatable, many); hypothesis then searches the
same property with shrinking for a smaller number of cases.
"""

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.sip.bodies import Body, read_body, split_parts
from parley.sip.digest import find_credentials
from parley.sip.errors import FramingError, LocalProtocolError, ParseError, RemoteProtocolError
from parley.sip.framing import KeepAlive, StreamFramer
from parley.sip.message import Message, Request, parse_message, response_to, salvage
from parley.testkit.mutations import SPICE, Mutator

DATA = Path(__file__).parents[1] / "data" / "sip"
SEEDS = [path.read_bytes() for path in sorted(DATA.glob("*.sip"))]
READERS: tuple[Callable[[Message], object], ...] = (
    lambda message: message.via.rport,
    lambda message: (message.via.received, message.via.branch, str(message.via)),
    lambda message: (message.from_.uri, message.from_.tag, str(message.from_)),
    lambda message: (message.to.uri, str(message.to.uri), str(message.to)),
    lambda message: (message.cseq, message.call_id, message.max_forwards, message.expires),
    lambda message: [(str(contact), contact.uri) for contact in message.contacts],
    lambda message: [str(route.uri) for route in (*message.routes, *message.paths)],
    lambda message: [route.uri for route in message.record_routes],
    lambda message: [message.values(name) for name in message.header_names()],
    lambda message: (message.content_type, message.content_length, message.get("subject")),
    lambda message: message.remove_first_value("via"),
)


def check(data: bytes) -> bool:
    """Parses and reads everything; returns whether the message was taken."""
    try:
        message = parse_message(data)
    except ParseError as error:
        assert 400 <= error.status < 700
        request = salvage(error.data)
        if request is not None:
            bytes(response_to(request, error.status, to_tag="t"))
        return False
    once = bytes(message)
    assert bytes(parse_message(once)) == once
    copied = message.copy()
    for read in READERS:
        try:
            read(copied)
        except RemoteProtocolError as error:
            assert 400 <= error.status < 700
    if isinstance(message, Request):
        check_request(message)
    return True


def check_request(message: Request) -> None:
    assert str(message.uri)
    bytes(response_to(message, 200, to_tag="t"))
    for name in ("authorization", "proxy-authorization"):
        try:
            find_credentials(message, name, "demo.localhost")
        except RemoteProtocolError:
            continue


def feed(source: random.Random, data: bytes) -> Iterator[Message | KeepAlive]:
    framer = StreamFramer()
    while data:
        size = source.choice((1, 7, 100, 5000))
        framer.receive_data(data[:size])
        data = data[size:]
        while True:
            try:
                item = framer.next_message()
            except FramingError as error:
                if error.can_continue:
                    continue
                return
            if item is None:
                break
            yield item


@pytest.mark.timeout(60)
def test_ten_thousand_mutated_datagrams_raise_only_declared_errors() -> None:
    mutator = Mutator(3261)
    source = mutator.random
    taken = sum(check(mutator.mutate(source.choice(SEEDS), SEEDS)) for _ in range(10_000))
    # Both ways were walked: neither everything nor nothing is refused.
    assert 1000 < taken < 9000


@pytest.mark.timeout(60)
def test_mutated_streams_raise_only_declared_errors() -> None:
    mutator = Mutator(5626)
    source = mutator.random
    for _ in range(1000):
        data = b"".join(source.choice(SEEDS) for _ in range(3))
        for item in feed(source, mutator.mutate(data, SEEDS)):
            if isinstance(item, Message):
                once = bytes(item)
                assert bytes(parse_message(once)) == once


@settings(max_examples=300, deadline=None)
@given(seed=st.sampled_from(SEEDS), edits=st.data())
def test_spliced_messages_raise_only_declared_errors(seed: bytes, edits: st.DataObject) -> None:
    at = edits.draw(st.integers(0, len(seed)))
    cut = edits.draw(st.integers(0, 40))
    put = edits.draw(st.sampled_from(SPICE) | st.binary(max_size=20))
    check(seed[:at] + put + seed[at + cut :])


@settings(max_examples=300, deadline=None)
@given(value=st.text(max_size=60))
@pytest.mark.parametrize("name", ["via", "from", "to", "contact", "route", "subject"])
def test_text_set_by_code_stays_inside_its_line(name: str, value: str) -> None:
    from_wire = parse_message(SEEDS[1])
    names = from_wire.header_names()
    try:
        from_wire.add(name, value)
        data = bytes(from_wire)
    except LocalProtocolError:
        return
    try:
        again = parse_message(data)
    except ParseError:
        return
    assert sorted(again.header_names()) == sorted([*names, name])


MULTIPART = (
    b'INVITE sip:1002@demo.test SIP/2.0\r\nContent-Type: multipart/mixed; boundary="b 1"\r\n\r\n'
    b"--b 1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n"
    b"\r\n--b 1\r\nContent-Type: multipart/alternative;boundary=b2\r\n"
    b"Content-Disposition: render;handling=optional\r\n\r\n"
    b"--b2\r\nContent-Type: text/plain\r\n\r\nx\r\n--b2\r\n\r\ny\r\n--b2--\r\n\r\n--b 1--\r\n"
)


def cut(body: Body, depth: int) -> int:
    """Cuts a body as deep as it goes; returns how many bodies there were."""
    if not body.is_multipart or depth == 4:
        return 1
    return 1 + sum(cut(part, depth + 1) for part in split_parts(body))


@pytest.mark.timeout(60)
def test_mutated_multipart_bodies_are_cut_or_refused() -> None:
    mutator = Mutator(5621)
    taken = 0
    for _ in range(5000):
        head, _, body = mutator.mutate(MULTIPART, [MULTIPART]).partition(b"\r\n\r\n")
        request = Request("INVITE", "sip:1002@demo.test")
        text = head.decode("utf-8", "surrogateescape").partition("Content-Type:")[2]
        request.add("content-type", re.sub(r"[\r\n\0]", " ", text))
        request.body = body
        try:
            taken += cut(read_body(request), 0) > 1
        except RemoteProtocolError as error:
            assert error.status == 400
    assert 500 < taken < 4500
