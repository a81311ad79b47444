"""CPU time per description: `python -m tests.bench.bench_sdp [rounds]`."""

import sys
import time
from collections.abc import Callable

from tests.sdp_samples import LocalStream

from parley.sdp import OriginLine, parse_sdp, relayed, remote_streams

BODY = (
    b"v=0\r\no=- 3890844526 3890844526 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 9 8 0 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    b"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    b"a=ptime:20\r\na=rtcp:4001\r\na=sendrecv\r\n"
)

STREAMS = [LocalStream(0, "10.0.0.1", 20000, 20001)]
OWN = OriginLine("1", 1, "10.0.0.1")


def through_the_relay() -> bytes:
    sdp = parse_sdp(BODY)
    remote_streams(sdp)
    return bytes(relayed(sdp, STREAMS, OWN))


def measure(name: str, work: Callable[[], object], rounds: int) -> None:
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        for _ in range(rounds):
            work()
        best = min(best, time.process_time() - start)
    print(f"{name:28} {best / rounds * 1e6:8.2f} us")


if __name__ == "__main__":
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    measure("parse", lambda: parse_sdp(BODY), rounds)
    measure("parse and serialise", lambda: bytes(parse_sdp(BODY)), rounds)
    measure("parse, read, relay, serialise", through_the_relay, rounds)
