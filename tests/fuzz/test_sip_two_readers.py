"""The product and a second reader, written by other means, read the same in mutated messages."""

import random
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from tests.fuzz import plain_reader as plain

from parley.sip.errors import ParseError, RemoteProtocolError
from parley.sip.framing import StreamFramer
from parley.sip.headers import NameAddr, parse_name_addr
from parley.sip.message import Message, Request, parse_message
from parley.sip.uri import SipUri
from parley.testkit.mutations import Mutator

DATA = Path(__file__).parents[1] / "data" / "sip"
SEEDS = [path.read_bytes() for path in sorted(DATA.glob("*.sip"))]
_LISTS = ("via", "contact", "route", "record-route", "path", "supported")


def compare(data: bytes) -> bool:
    """Reads a datagram by both; returns whether the product took it."""
    try:
        message = parse_message(data)
    except ParseError:
        return False
    other = plain.read(data)
    if other is None:
        # A NUL behind a backslash in quotes is legal and replaced: the other one gives up.
        assert b"\\\0" in data
        return True
    assert message.header_names() == [name for name, _ in other.headers]
    length = message.content_length
    assert message.body == (other.rest if length is None else other.rest[:length])
    for name in {name for name, _ in other.headers}:
        values = [value for present, value in other.headers if present == name]
        assert message.get_all(name) == values
        assert message.get(name) == values[0]
        if name in _LISTS:
            compare_lists(message, name, values)
    compare_typed(message)
    return True


def compare_lists(message: Message, name: str, lines: list[str]) -> None:
    parts = [plain.items(line) for line in lines]
    try:
        values = message.values(name)
    except RemoteProtocolError:
        assert None in parts
        return
    assert values == [value for part in parts for value in part or ()]


def compare_typed(message: Message) -> None:
    via = message.via
    assert plain.via(plain.first_item(message.get("via") or "")) == (
        via.transport,
        via.host,
        via.port,
        dict(via.params),
    )
    for name in ("from", "to"):
        value = message.get(name) or ""
        if "<" in value:
            address = parse_name_addr(value)
            read = (address.display_name, address.uri_text, dict(address.params))
            assert plain.name_addr(value) == read
            compare_uri(address)
    if isinstance(message, Request):
        compare_uri(NameAddr(message.uri_text))


def compare_uri(address: NameAddr) -> None:
    try:
        uri = address.uri
    except RemoteProtocolError:
        return
    if isinstance(uri, SipUri):
        read = plain.sip_uri(address.uri_text)
        assert read is not None
        scheme, user, host, port = read
        assert (uri.scheme, uri.host, uri.port) == (scheme, host, port)
        assert (uri.user is None) == (user is None)
        if uri.user is not None and user is not None:
            assert uri.user.encode("utf-8", "surrogateescape") == unquote_to_bytes(user)


@pytest.mark.timeout(60)
def test_two_readers_read_the_same() -> None:
    mutator = Mutator(4475)
    source = mutator.random
    taken = sum(compare(mutator.mutate(source.choice(SEEDS), SEEDS)) for _ in range(10_000))
    assert all(map(compare, SEEDS))
    assert 1000 < taken < 9000


def test_two_readers_cut_a_stream_into_the_same_messages() -> None:
    source = random.Random(5118)
    plain_length = [seed for seed in SEEDS if list(plain.framed(seed)) == [seed]]
    assert len(plain_length) > 1
    for _ in range(300):
        messages = [source.choice(plain_length) for _ in range(4)]
        stream = b"".join(messages)
        framer = StreamFramer()
        cut: list[bytes] = []
        while stream:
            size = source.randint(1, 600)
            framer.receive_data(stream[:size])
            stream = stream[size:]
            while (message := framer.next_message()) is not None:
                assert isinstance(message, Message)
                cut.append(bytes(message))
        assert cut == [bytes(parse_message(each)) for each in messages]
        assert list(plain.framed(b"".join(messages))) == messages
