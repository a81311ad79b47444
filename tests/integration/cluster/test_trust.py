"""A cluster with TLS: who listens hears nothing, who is no service commands nothing."""

import re
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import grpc
import httpx2
import pytest
from tests.cluster.authority import Authority

from parley.allinone.private_file import write_private
from parley.backing.media.trust import ROLE
from parley.rpc.media.v1 import media_pb2 as pb
from parley.rpc.media.v1.media_pb2_grpc import MediaRelayStub
from parley.service.tls import TlsFiles, client_context
from parley.sip.dialog import Dialog
from parley.sip.message import Message, Request
from parley.testkit.phones.line import Line
from parley.testkit.phones.raw_phone import RawPhone
from parley.testkit.platform.running import Platform, Topology

from .loopback import Capture

NOW = datetime.now(UTC)  # noqa: TID251 - the validity of real certificates
HOST: Final = "127.0.0.1"
_STEP_S: Final = 3.0
_SILENCE_S: Final = 0.5
_PATIENCE_S: Final = 15.0
_AT_LEAST: Final = 100
"""Bytes that a call makes pass at every kind of port."""

_PORTS: Final = {"callmanager": "port", "edgeproxy": "inside_port", "mediarelay": "grpc_port"}
OPTIONS: Final = (
    b"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\n"
    b"Via: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bKstranger;rport\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: stranger\r\nCSeq: 1 OPTIONS\r\n"
    b"Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)
_SSL_REQUEST: Final = struct.pack(">ii", 8, 80_877_103)
_QUESTIONS: Final = {
    "STATE_URL": b"PING\r\n",
    "DISCOVERY_URL": b"ruok",
    "DATABASE_URL": struct.pack(">ii", 41, 196_608) + b"user\0postgres\0database\0parley\0\0\0",
}
_PLAIN: Final = (
    b"PRI * HTTP/2.0",
    b"SIP/2.0",
    b"x-parley",
    b"instance_id",
    b"aiokafka",
    b"EVALSHA",
    b"INSERT INTO",
    b"/parley/instances",
)
"""What plain SIP, gRPC, Kafka, Redis, PostgreSQL and ZooKeeper would show during a call."""

pytestmark = pytest.mark.timeout(90)


class Phone(RawPhone):
    """A raw phone with a socket for media."""

    def __init__(self, line: Line, server: str) -> None:
        super().__init__(line, server)
        self.media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.media.bind((HOST, 0))
        self.media.settimeout(_STEP_S)
        self.count = 0

    def close(self) -> None:
        self.register(0)  # a call of the next test would ring here for nothing
        self.media.close()
        super().close()

    def description(self, port: int = 0) -> bytes:
        return super().description(port or self.media.getsockname()[1])

    def speak(self, described: Message) -> None:
        """Sends an RTP packet to where a description says."""
        found = re.search(rb"m=audio (\d+) ", described.body)
        assert found is not None
        self.count += 1
        packet = struct.pack(">BBHII", 0x80, 8, self.count, 160 * self.count, 7) + b"\xd5" * 160
        self.media.sendto(packet, (HOST, int(found[1])))

    def hears(self) -> bool:
        return bool(self.media.recv(2048))


class Call:
    """A call between two phones that are registered."""

    def __init__(self, caller: Phone, callee: Phone) -> None:
        self.caller, self.callee = caller, callee
        self.invite = caller.begin_call(callee)
        self.offered: Request = callee.expect("INVITE")
        callee.respond(self.offered, 200, callee.description())
        self.answer = caller.final_of(self.invite)
        assert self.answer.status == 200
        self._dialog = Dialog.uac(self.invite, self.answer)
        self._dialog.confirm()
        caller.send(caller.in_dialog(self._dialog.new_ack(self.invite.cseq.number)))
        callee.expect("ACK")

    def has_media(self) -> bool:
        """Whether each hears the other; the first packets show the relay who speaks."""
        for speaker, at in ((self.caller, self.answer), (self.callee, self.offered)):
            speaker.speak(at)
        for speaker, at in ((self.caller, self.answer), (self.callee, self.offered)):
            speaker.speak(at)
        return self.callee.hears() and self.caller.hears()

    def end(self) -> None:
        bye = self.caller.in_dialog(self._dialog.new_request("BYE"))
        self.caller.send(bye)
        self.callee.respond(self.callee.expect("BYE"), 200)
        assert self.caller.final_of(bye).status == 200


class World:
    """The cluster, and what it is attacked with."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self.platform = platform
        self.tls = platform.folder / "data" / "tls"
        self.authority = Authority(self.tls, NOW)
        self.stranger = Authority(folder, NOW)

    def inside(self) -> dict[str, int]:
        """Every port that a service or a backing server has for services."""
        control = self.platform.control
        ports = {
            part.name: part.ports[_PORTS[part.service]]
            for part in control.processes.values()
            if part.service in _PORTS
        }
        for key in ("STATE_URL", "BUS_URL", "DISCOVERY_URL", "DATABASE_URL"):
            found = re.search(r":(\d+)(/|$)", control.backing[f"PARLEY_BACKING_{key}"])
            assert found is not None
            ports[key] = int(found[1])
        return ports

    def phones(self) -> tuple[Phone, Phone]:
        caller, callee = (
            Phone(line, self.platform.edges[0].sip) for line in self.platform.demo.lines[:2]
        )
        for phone in (caller, callee):
            phone.register()
        return caller, callee

    def certificates(self) -> dict[str, TlsFiles]:
        """What strangers may show."""
        ca = self.authority.ca
        return {
            "nobody": TlsFiles(ca=ca),
            "another authority": self.stranger.issue("x", ["edgeproxy.parley.internal"])._replace(
                ca=ca
            ),
            "another role": self.authority.issue("x", ["restgateway.parley.internal"]),
        }

    def shown(self, port: int) -> object:
        """Serial number of the certificate that is shown at a port now."""
        files = self.authority.issue("probe", ["probe.parley.internal"])
        context = client_context(files, checks_name=False).current()
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection((HOST, port), _STEP_S) as plain,
            context.wrap_socket(plain) as opened,
        ):
            certificate = opened.getpeercert()
        assert certificate is not None
        return certificate["serialNumber"]

    def metric(self, name: str) -> float:
        """Sum of a counter over all services that take part in calls."""
        total = 0.0
        for service in _PORTS:
            for part in self.platform.control.of(service):
                text = httpx2.get(f"http://{HOST}:{part.ports['health_port']}/metrics").text
                total += sum(map(float, re.findall(rf"^parley_{service}_{name} (\S+)", text, re.M)))
        return total


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory,
    all_servers: None,
    untimed: Callable[[], AbstractContextManager[None]],
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("trust")
    with untimed():
        platform = Platform(
            Topology.CLUSTER, folder / "cluster", (HOST,), {"PARLEY_CLUSTER_TLS": "true"}
        )
    try:
        yield World(platform, folder / "stranger")
    finally:
        with untimed():
            platform.stop()


def test_who_listens_hears_no_word_between_services(world: World) -> None:
    ports = world.inside()
    with Capture() as capture:
        caller, callee = world.phones()
        with caller, callee:
            call = Call(caller, callee)
            assert call.has_media()
            call.end()
        # The call's record, signs of life: what comes seldom is waited for.
        until = time.perf_counter() + _PATIENCE_S
        while not is_all_heard(capture, ports):
            assert time.perf_counter() < until, heard_of(capture, ports)
            time.sleep(0.1)

    sip = int(world.platform.edges[0].sip.rpartition(":")[2])
    for call_id in (call.invite.call_id, call.offered.call_id):
        heard = {sip in each.ports for each in capture.holding(call_id.encode())}
        assert heard == {True}, "a call's id was heard on other ports than the phones'"
    for name, port in ports.items():
        payloads = list(capture.at(port))
        for text in _PLAIN:
            said = [each for each in payloads if text.lower() in each.lower()]
            assert not said, f"{name}: {said[0][:80]!r}"


def heard_of(capture: Capture, ports: Mapping[str, int]) -> Counter[str]:
    """Bytes heard by kind of port."""
    heard = Counter[str]()
    for name, port in ports.items():
        heard[name.partition("-")[0]] += sum(map(len, capture.at(port)))
    return heard


def is_all_heard(capture: Capture, ports: Mapping[str, int]) -> bool:
    return all(size > _AT_LEAST for size in heard_of(capture, ports).values())


@pytest.mark.parametrize("who", ["nobody", "another authority", "another role"])
def test_who_shows_no_fitting_certificate_commands_nothing(who: str, world: World) -> None:
    files = world.certificates()[who]
    for name, port in world.inside().items():
        if name.endswith("_URL") and who == "another role":
            continue  # every service may use them
        question = _QUESTIONS.get(name, OPTIONS)
        tls = client_context(files, checks_name=False)
        if name.startswith("mediarelay"):
            assert not is_obeyed(port, files), name
        else:
            assert answer_to(port, question, tls, starts=name == "DATABASE_URL") == b"", name


def test_plain_words_are_not_understood(world: World) -> None:
    for name, port in world.inside().items():
        for question in {OPTIONS, _QUESTIONS.get(name, OPTIONS)}:
            answer = answer_to(port, question)
            for text in (b"SIP/2.0", b"PONG", b"imok", b"R\0\0\0"):
                assert text not in answer, name


def test_certificates_are_replaced_while_a_call_and_its_media_run(world: World) -> None:
    ports = {k: port for k, port in world.inside().items() if not k.endswith("_URL")}
    ports["phones"] = int(world.platform.edges[0].sip_tls.rpartition(":")[2])
    caller, callee = world.phones()
    with caller, callee:
        call = Call(caller, callee)
        assert call.has_media()
        before = {name: world.shown(port) for name, port in ports.items() if name != "phones"}
        closed = world.metric("sip_flows_closed_total")

        for part in world.platform.control.processes.values():
            world.authority.issue(part.name, [f"{part.service}.parley.internal"])
        after = {name: world.shown(port) for name, port in ports.items() if name != "phones"}

        assert all(before[name] != after[name] for name in before)
        assert call.has_media()
        call.end()
        # Those are our own looks at the certificates.
        looks = sum(name.startswith(("edge", "call")) for name in before)
        assert world.metric("sip_flows_closed_total") - closed <= looks
        second = Call(caller, callee)
        assert second.has_media()
        second.end()


def test_certificate_for_phones_is_replaced_too(world: World) -> None:
    port = int(world.platform.edges[0].sip_tls.rpartition(":")[2])
    folder = world.platform.folder / "data" / "secrets"
    before = ssl.get_server_certificate((HOST, port))

    fresh = world.authority.issue("phones", [HOST])
    assert fresh.certificate is not None and fresh.key is not None
    write_private(folder / "sip.key", fresh.key.read_bytes())
    write_private(folder / "sip.crt", fresh.certificate.read_bytes())

    after = ssl.get_server_certificate((HOST, port))
    assert after != before
    assert after.strip() == fresh.certificate.read_text().strip()


def answer_to(
    port: int, data: bytes, tls: ssl.SSLContext | None = None, *, starts: bool = False
) -> bytes:
    """What is said in answer until the connection ends or falls silent."""
    said = b""
    with closing(socket.create_connection((HOST, port), _STEP_S)) as opened:
        opened.settimeout(_SILENCE_S)
        try:
            if starts:
                opened.sendall(_SSL_REQUEST)
                assert opened.recv(1) == b"S"
            if tls is not None:
                opened = tls.wrap_socket(opened, server_hostname=HOST)
                opened.settimeout(_SILENCE_S)
            opened.sendall(data)
            while found := opened.recv(65_536):
                said += found
        except OSError:
            pass  # reset, alert or silence: what was said before counts
        finally:
            opened.close()
    return said


def is_obeyed(port: int, files: TlsFiles) -> bool:
    """Whether a relay opens a stream to who shows this certificate."""
    assert files.ca is not None
    key = None if files.key is None else files.key.read_bytes()
    certificate = None if files.certificate is None else files.certificate.read_bytes()
    credentials = grpc.ssl_channel_credentials(files.ca.read_bytes(), key, certificate)
    options = (("grpc.ssl_target_name_override", f"{ROLE}.parley.internal"),)
    with grpc.secure_channel(f"{HOST}:{port}", credentials, options=options) as channel:
        stream = MediaRelayStub(channel).Control(
            iter([pb.CommandBatch(instance_id="stranger")]), timeout=_STEP_S
        )
        try:
            return next(stream) is not None
        except grpc.RpcError:
            return False
