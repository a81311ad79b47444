"""The whole platform as the server of a SIP load generator, everything real and nothing mocked.

    python tests/bench/bench_server.py

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
from collections.abc import Sequence
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
SIP_PORT, CALLEE_PORT, CALLER_PORT = 5060, 5070, 5080
TLS_PORT, API_PORT, WSI_PORT, HEALTH_PORT = 16061, 16080, 16081, 16090
REGISTER_TIMEOUT_S = 5.0


class CalleePhone:
    """Registers the phone that calls go to; a `Service`, the last one to start."""

    name = "callee"

    def __init__(self) -> None:
        self._is_registered = False

    async def start(self) -> None:
        """Registers from the phone's port and leaves it to the load generator."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.bind((HOST, CALLEE_PORT))
            sock.connect((HOST, SIP_PORT))
            request = _register(1)
            challenge = choose_challenge((await _ask(sock, request)).get_all("www-authenticate"))
            if challenge is None:
                raise RuntimeError("the platform sent no challenge")
            request = _register(2)
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


def _register(cseq: int) -> Request:
    request = Request("REGISTER", f"sip:{DOMAIN}")
    request.add("via", f"SIP/2.0/UDP {HOST}:{CALLEE_PORT};branch=z9hG4bKcallee{cseq};rport")
    request.add("from", f"<sip:{CALLEE}@{DOMAIN}>;tag=callee")
    request.add("to", f"<sip:{CALLEE}@{DOMAIN}>")
    request.add("call-id", "callee-registration")
    request.add("cseq", f"{cseq} REGISTER")
    request.add("contact", f"<sip:{CALLEE}@{HOST}:{CALLEE_PORT}>")
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


async def _provision(data: Path) -> None:
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


def _services(data: Path) -> Sequence[Service]:
    settings = AllInOneSettings.load(
        host=HOST,
        sip_port=SIP_PORT,
        sip_tls_port=TLS_PORT,
        api_port=API_PORT,
        wsi_port=WSI_PORT,
        health_port=HEALTH_PORT,
        rtp_ports=PortRange(20000, 29999),
        data=data,
        trusted_peers=(f"{HOST}:{CALLER_PORT}={DOMAIN}",),
    )
    return (*Platform(settings, SystemClock(), Registry()).services(), CalleePhone())


async def _serve(data: Path) -> int:
    await _provision(data)
    return await run(_services(data), on_ready=lambda: print("ready", flush=True))


if __name__ == "__main__":
    configure_logging("warning", None)
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        status = main(lambda: _serve(Path(folder)))
    sys.exit(status)
