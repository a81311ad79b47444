"""The whole platform as the server of a SIP load generator, everything real and nothing mocked.

    python -m tests.bench.whole_platform

SIP on 127.0.0.1:5060 over UDP; a data folder of its own, removed at the end. A tenant
`bench.test` has the users `u000000` to `u009999` with the password `secret`. A caller at
127.0.0.1:5080 is a trusted peer; its calls to 1000 reach the phone at 127.0.0.1:5070, which this
program registers at the start as that phone would: by REGISTER and digest from that very port.
Prints `ready` once calls may come and serves until SIGTERM.
"""

import asyncio
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from parley.allinone.app import Platform
from parley.allinone.settings import AllInOneSettings
from parley.backing.db.extensions import NewExtension
from parley.backing.db.provisioning import NewTenant, provision_tenant
from parley.backing.factory import Port, create_backing
from parley.backing.settings import BackingSettings
from parley.service.clock import SystemClock
from parley.service.lifecycle import Service, main, run
from parley.service.log import configure_logging
from parley.service.metrics import Registry
from parley.service.settings import PortRange
from parley.sip.digest import authorization, choose_challenge
from parley.sip.message import Request, Response, parse_message

DOMAIN = "bench.test"
PASSWORD = "secret"
USERS = 10_000
CALLER, CALLEE = "caller", "1000"
HOST = "127.0.0.1"
REGISTER_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Places:
    """The ports of the platform and of the two phones beside it."""

    sip: int = 5060
    callee: int = 5070
    caller: int = 5080
    tls: int = 16061
    api: int = 16080
    wsi: int = 16081
    health: int = 16090
    rtp_first: int = 20000
    rtp_last: int = 29999


class CalleePhone:
    """Registers the phone that calls go to; a `Service`, the last one to start."""

    name = "callee"

    def __init__(self, places: Places) -> None:
        self._places = places
        self._is_registered = False

    async def start(self) -> None:
        """Registers from the phone's port and leaves it to the load generator."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.bind((HOST, self._places.callee))
            sock.connect((HOST, self._places.sip))
            request = _register(1, self._places.callee)
            challenge = choose_challenge((await _ask(sock, request)).get_all("www-authenticate"))
            if challenge is None:
                raise RuntimeError("the platform sent no challenge")
            request = _register(2, self._places.callee)
            request.add(
                "authorization", authorization(challenge, request, CALLEE, PASSWORD, "cnonce")
            )
            response = await _ask(sock, request)
        if response.status != 200:
            raise RuntimeError(f"the callee was not registered: {response.status}")
        self._is_registered = True

    async def drain(self, timeout_s: float) -> None:
        """Does nothing."""

    async def aclose(self) -> None:
        """Does nothing: the binding goes with the data folder."""

    def is_ready(self) -> bool:
        """Says whether calls have somewhere to go."""
        return self._is_registered


def _register(cseq: int, port: int) -> Request:
    request = Request("REGISTER", f"sip:{DOMAIN}")
    request.add("via", f"SIP/2.0/UDP {HOST}:{port};branch=z9hG4bKcallee{cseq};rport")
    request.add("from", f"<sip:{CALLEE}@{DOMAIN}>;tag=callee")
    request.add("to", f"<sip:{CALLEE}@{DOMAIN}>")
    request.add("call-id", "callee-registration")
    request.add("cseq", f"{cseq} REGISTER")
    request.add("contact", f"<sip:{CALLEE}@{HOST}:{port}>")
    request.add("expires", "3600")
    request.add("max-forwards", "70")
    return request


async def _ask(sock: socket.socket, request: Request) -> Response:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(REGISTER_TIMEOUT_S):
        await loop.sock_sendall(sock, bytes(request))
        response = parse_message(await loop.sock_recv(sock, 65535))
    if not isinstance(response, Response):
        raise RuntimeError("the platform sent a request")
    return response


async def provision(data: Path) -> None:
    """Makes the tenant, as an operator would have before the platform started."""
    backing = create_backing(
        Port.DATABASE, BackingSettings.load(data=data), SystemClock(), Registry()
    )
    await backing.start()
    try:
        numbers = [f"u{number:06d}" for number in range(USERS)]
        extensions = [
            NewExtension(number=number, password=PASSWORD) for number in (*numbers, CALLER, CALLEE)
        ]
        await provision_tenant(
            backing.db, NewTenant(name="Bench", domains=[DOMAIN], extensions=extensions)
        )
    finally:
        await backing.aclose()


def services(data: Path, places: Places) -> Sequence[Service]:
    """Makes the platform and the phone that calls go to, in the order of their start."""
    settings = AllInOneSettings.load(
        host=HOST,
        sip_port=places.sip,
        sip_tls_port=places.tls,
        api_port=places.api,
        wsi_port=places.wsi,
        health_port=places.health,
        rtp_ports=PortRange(places.rtp_first, places.rtp_last),
        data=data,
        trusted_peers=(f"{HOST}:{places.caller}={DOMAIN}",),
    )
    platform = Platform(settings, SystemClock(), Registry())
    return (*platform.services(), CalleePhone(places))


async def serve(data: Path, places: Places, on_ready: Callable[[], None]) -> int:
    """Provisions and runs the platform until a signal ends it."""
    await provision(data)
    return await run(services(data, places), on_ready=on_ready)


if __name__ == "__main__":
    configure_logging("warning", None)
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        status = main(
            lambda: serve(Path(folder), Places(), lambda: print("ready", flush=True)),
        )
    sys.exit(status)
