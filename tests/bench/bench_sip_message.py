"""Cost of one INVITE: parse, the proxy's changes, serialise.

    python -m tests.bench.bench_sip_message

With sippy installed its message class is measured beside ours, on the same bytes.
"""

import importlib.util
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parley.sip.message import Request, parse_message

INVITE = (Path(__file__).parents[1] / "data" / "sip" / "invite.sip").read_bytes()
REPEATS = 7
ROUNDS = 3000


def touch(message: Any) -> None:
    """What a proxy changes in a request: Via off and on, Record-Route, Max-Forwards."""
    message.remove_first_value("via")
    message.prepend("via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK0011223344556677")
    message.prepend("record-route", "<sip:q83vEjRWeJA@192.0.2.1:5060;transport=udp;lr>")
    message.set("max-forwards", str(message.max_forwards - 1))


def path() -> bytes:
    message = parse_message(INVITE)
    touch(message)
    return bytes(message)


def strangers() -> list[bytes]:
    """INVITEs of more users, hosts and calls than any cache of the parser holds."""
    return [
        INVITE.replace(b"1001", b"a%05d" % number)
        .replace(b"1002", b"b%05d" % number)
        .replace(b"192.0.2.10:", b"10.%d.%d.%d:" % (number % 7, number // 250, number % 250))
        for number in range(6000)
    ]


def strangers_us() -> float:
    data = strangers()

    def parse_all() -> None:
        for message in data:
            parse_message(message)

    return min(timeit.repeat(parse_all, number=1, repeat=3)) / len(data) * 1e6


def best_us(work: Callable[[], object]) -> float:
    return min(timeit.repeat(work, number=ROUNDS, repeat=REPEATS)) / ROUNDS * 1e6


def sippy_path() -> Callable[[], object] | None:
    """Returns the same work done with sippy's classes; None when it is not installed.

    `getTId` reads what our parser has read and checked: Via branch, From and To tag, CSeq.
    """
    if importlib.util.find_spec("sippy") is None:
        return None
    request_class: Any = importlib.import_module("sippy.SipRequest").SipRequest
    header_class: Any = importlib.import_module("sippy.SipHeader").SipHeader
    via = "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK0011223344556677"
    route = "Record-Route: <sip:q83vEjRWeJA@192.0.2.1:5060;transport=udp;lr>"

    def work() -> object:
        message = request_class(INVITE.decode())
        message.getTId(True, True, True)
        message.removeHeader(message.getHF("via"))
        message.headers.insert(0, header_class(via))
        message.headers.insert(0, header_class(route))
        message.getHFBody("max-forwards").incNum(-1)
        return str(message)

    return work


def main() -> None:
    base = parse_message(INVITE)
    assert isinstance(base, Request)
    bytes(base)

    def copy_and_touch() -> Request:
        message = base.copy()
        touch(message)
        return message

    touched = copy_and_touch()
    rows = [
        ("parse", best_us(lambda: parse_message(INVITE))),
        ("parse, no cache ever hits", strangers_us()),
        ("touch", best_us(copy_and_touch) - best_us(base.copy)),
        ("serialise", best_us(lambda: bytes(touched))),
        ("parse + touch + serialise", path_us := best_us(path)),
    ]
    peer = sippy_path()
    if peer is not None:
        peer_us = best_us(peer)
        rows += [("sippy, the same", peer_us), ("sippy / parley (times)", peer_us / path_us)]
    print(f"one INVITE of {len(INVITE)} bytes, µs")
    for name, value in rows:
        print(f"  {name:<28}{value:8.1f}")


if __name__ == "__main__":
    main()
