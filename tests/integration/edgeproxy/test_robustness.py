"""Bad input and bad settings: an answer or silence, one sentence, never an exception."""

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from parley.edgeproxy.app import EdgeProxy
from parley.edgeproxy.settings import EdgeSettings
from parley.service.errors import PortInUse, SettingsError, StartError
from parley.sip.errors import ParseError
from parley.sip.hop import Hop
from parley.sip.message import parse_message

if TYPE_CHECKING:
    from tests.integration.edgeproxy.conftest import World

ALPHABET = b'\x00\t\r\n "%,/:;<=>?@\\0A\x80\xff'
SOURCE = Hop("udp", "127.0.0.1", 9)


def _mutate(data: bytes, chance: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(out))
        action = chance.randrange(4)
        if action == 0:
            out[at] = chance.choice(ALPHABET)
        elif action == 1:
            del out[at : at + chance.randint(1, 20)]
        elif action == 2:
            out[at:at] = bytes(chance.choices(ALPHABET, k=chance.randint(1, 20)))
        else:
            out[at:at] = out[at : at + chance.randint(1, 60)]
        if not out:
            return data
    return bytes(out)


async def test_mutated_requests_never_raise(world: "World") -> None:
    edge = await world.edge(auth_failures=0)
    manager = await world.call_manager()
    phone = await world.phone(edge)
    invite, _, ok = await phone.answered(manager)
    register = phone.request("REGISTER")
    registered = phone.authorized(register, await phone.exchange(register))
    registered.add("path", "<sip:p1;lr>")
    registered.add("supported", "outbound")
    registered.set("contact", '<sip:1001@h>;+sip.instance="<urn:x>";reg-id=1;q=0.5;expires=60')
    bye = phone.in_dialog("BYE", invite, ok)
    seeds = []
    for request in (register, registered, invite, bye, phone.ack(invite, ok)):
        seed = request.copy()
        seed.remove("via")
        seed.prepend("via", "SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKseed;rport")
        seeds.append(bytes(seed))
    chance = random.Random(3261)
    listener = edge.addresses.outside["udp"]

    for number in range(1500):
        data = _mutate(seeds[number % len(seeds)].replace(b"seed", b"m%d" % number), chance)
        try:
            message = parse_message(data)
        except ParseError as error:
            edge.node.receive_malformed(error, SOURCE, listener)
        else:
            edge.node.receive(message, SOURCE, listener)
    edge.node.flush()

    assert edge.node.counts.handler_errors == 0
    options = phone.request("OPTIONS", "sip:demo.test")
    phone.send(options)
    while (await phone.response()).cseq.method != "OPTIONS":
        pass


async def test_taken_port_is_said_in_one_sentence(world: "World") -> None:
    edge = await world.edge("edge-1")
    port = edge.addresses.outside["udp"].port

    with pytest.raises(PortInUse, match=rf"UDP.*127\.0\.0\.1:{port}"):
        await world.edge("edge-2", udp_port=port)


async def test_failed_start_leaves_its_ports_free(world: "World", tmp_path: Path) -> None:
    first = await world.edge("edge-1")
    tcp_port = first.addresses.outside["tcp"].port
    await first.aclose()
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")

    with pytest.raises(StartError, match="cannot be used"):
        await world.edge("edge-1", tcp_port=tcp_port, tls_certificate=broken, tls_key=broken)

    assert (await world.edge("edge-1", tcp_port=tcp_port)).is_ready()


async def test_closing_twice_is_harmless(edge: EdgeProxy) -> None:
    await edge.aclose()
    await edge.aclose()

    assert not edge.is_ready()


@pytest.mark.parametrize(
    "values",
    [
        {"secret": "short"},
        {"min_expires_s": 600, "default_expires_s": 60},
        {"tls_certificate": "cert.pem"},
        {"host": "0.0.0.0"},
        {"trusted_peers": "nonsense"},
        {"unlimited_sources": "999.0.0.0/8"},
        {"name": "edge one"},
    ],
)
def test_contradictory_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        EdgeSettings.load(**values)
