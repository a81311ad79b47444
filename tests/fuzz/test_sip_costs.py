"""No shape of text costs more than its length: who sends one large message buys no seconds."""

from collections.abc import Callable
from contextlib import suppress
from time import process_time

import pytest

from parley.sip.digest import find_credentials
from parley.sip.errors import ParseError, ProtocolError
from parley.sip.framing import StreamFramer
from parley.sip.message import Request, parse_message, response_to, salvage

_BYTES = 60_000
_MAX_S = 0.1
"""Of CPU: dozens of times what any of them takes, and less than a square of these lengths does."""

_REPEATED = (
    *(";", ",", "<", ">", '"', "\\", '\\"', "a,", '"a",', "<a>,", ";a", "%41", "=", "@", ":", "["),
    *("\r\n ", "\r\n\t;a", "?a=1&", "&a=1", " ", "\t", ';a="b"', "\xff", "\u2003", "/", "a=1,"),
    *("SIP/2.0/UDP a,", "Digest a=b,", 'a="\\"",', "<sip:a>,", '"<', '<"', "%"),
)
SHAPES = {
    **{repr(text): text * (_BYTES // len(text.encode())) for text in _REPEATED},
    "many parameters": "".join(f";p{number:x}" for number in range(10_000)),
    "many credentials": "Digest " + ",".join(f"p{number:x}=1" for number in range(8_000)),
}
PLACES: dict[str, tuple[str, str]] = {
    **{name: (name, "{}") for name in ("via", "from", "to", "call-id", "cseq", "contact", "route")},
    **{name: (name, "{}") for name in ("authorization", "subject")},
    "behind a Via": ("via", "SIP/2.0/UDP a;branch=z9hG4bK1{}"),
    "behind an address": ("from", "<sip:a@b>{}"),
    "in a URI": ("from", "<sip:a@b{}>"),
}
READERS: tuple[Callable[[Request], object], ...] = (
    lambda message: [contact.uri for contact in message.contacts],
    lambda message: (message.routes, message.values("subject")),
    lambda message: (message.from_.uri, str(message.from_)),
    lambda message: find_credentials(message, "authorization", "a.test"),
    lambda message: message.remove_first_value("via"),
    lambda message: bytes(message.copy()),
)


def read(data: bytes) -> None:
    try:
        message = parse_message(data)
    except ParseError as error:
        request = salvage(error.data)
        if request is not None:
            bytes(response_to(request, error.status, to_tag="t"))
        return
    assert isinstance(message, Request)
    for reader in READERS:
        with suppress(ProtocolError):
            reader(message)


def cut(data: bytes) -> None:
    framer = StreamFramer()
    with suppress(ProtocolError):
        for start in range(0, len(data), 1000):
            framer.receive_data(data[start : start + 1000])
            framer.next_message()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_large_message_is_read_and_cut_in_no_time(shape: str, place: str) -> None:
    headers = {
        "via": "SIP/2.0/UDP a;branch=z9hG4bK1",
        "from": "<sip:a@b>;tag=1",
        "to": "<sip:b>",
        "call-id": "1",
        "cseq": "1 OPTIONS",
    }
    name, template = PLACES[place]
    headers[name] = template.format(SHAPES[shape])
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    data = f"OPTIONS sip:a SIP/2.0\r\n{lines}\r\n".encode()
    for work in (read, cut):
        began = process_time()
        work(data)
        assert process_time() - began < _MAX_S
