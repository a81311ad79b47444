"""The media engine as a peer in an RTP relay benchmark: `calls` bridged calls, nothing else.

    relay_server.py IP FIRST_PORT CALLS PARTY_IP     serves until SIGTERM
    relay_server.py ports                            prints "PORT_A PORT_B" a call, once it serves

The A side of every call is at PARTY_IP:40000, the B side at PARTY_IP:41000. What A sends to PORT_A
leaves from PORT_B to B, and the other way round. `open-close` instead of the four arguments prints
what opening and closing the four sockets of a bridged call costs.
"""

import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

from parley.mediaengine import Engine
from parley.model.media import Address
from parley.model.scene import Endpoint, Scene, Source, Stream, Transport

PORTS_FILE = Path(tempfile.gettempdir()) / "parley-relay-ports"
PARTY_PORTS = (40000, 41000)
PORTS_PER_CALL = 4
WAIT_S = 10.0


def call_between(ip: str, ports: tuple[int, int]) -> bytes:
    """The scene of a call whose phones are at these ports of `ip`."""
    streams = [Stream(0, Transport(Address(ip, port))) for port in ports]
    legs = {leg: Endpoint([stream]) for leg, stream in zip("ab", streams, strict=True)}
    return Scene(legs, {"a": [Source("b")], "b": [Source("a")]}).encode()


def open_call(engine: Engine, session: str, scene: bytes) -> str:
    """Opens a call; where its phones are to send."""
    opened = engine.apply(session, 1, 1, scene)
    return " ".join(str(port) for _, _, port in opened)


def serve(ip: str, first_port: int, calls: int, party: str) -> None:
    """Serves until SIGTERM."""
    PORTS_FILE.unlink(missing_ok=True)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    engine = Engine(ip, first_port, first_port + PORTS_PER_CALL * calls + 100)
    scene = call_between(party, PARTY_PORTS)
    lines = [open_call(engine, str(call), scene) for call in range(calls)]
    engine.flush()
    unfinished = PORTS_FILE.with_suffix(".new")
    unfinished.write_text("\n".join(lines) + "\n")
    unfinished.rename(PORTS_FILE)
    print("ready", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    engine.shut_down()


def print_ports() -> None:
    """Prints the ports of the server that runs, waiting for it to start."""
    deadline = time.perf_counter() + WAIT_S
    while not PORTS_FILE.exists():
        if time.perf_counter() > deadline:
            sys.exit("no relay server has started")
        time.sleep(0.05)
    sys.stdout.write(PORTS_FILE.read_text())


def measure_open_close(rounds: int = 2000) -> None:
    """Prints the CPU time, of all threads, that opening and closing a bridged call takes."""
    engine = Engine("127.0.0.1", 20000, 29999, quarantine_s=0)
    scene = call_between("127.0.0.1", PARTY_PORTS)
    started = time.process_time()
    for _ in range(rounds):
        open_call(engine, "s", scene)
        engine.flush()
        engine.close("s")
        engine.flush()
    engine.shut_down()
    print(f"{(time.process_time() - started) / rounds * 1e6:.1f} us CPU per call")


def main(arguments: list[str]) -> None:
    """Does what the command line says."""
    match arguments:
        case [ip, first_port, calls, party]:
            serve(ip, int(first_port), int(calls), party)
        case ["ports"]:
            print_ports()
        case ["open-close"]:
            measure_open_close()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
