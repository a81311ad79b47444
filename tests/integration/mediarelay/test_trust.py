"""A relay carries out what call managers command, and what nobody else does."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from tests.cluster.authority import Authority

from parley.backing.media.grpc import GrpcMediaControl
from parley.backing.media.times import MediaTimes
from parley.backing.media.trust import Dialler
from parley.mediarelay.app import MAX_CONNECTIONS, GrpcFront, RelayService
from parley.mediarelay.settings import MediaRelaySettings
from parley.model.media import CloseSession, LegSpec, OpenSession
from parley.rpc.media.v1 import media_pb2 as pb
from parley.rpc.media.v1.media_pb2_grpc import MediaRelayStub
from parley.service.clock import SystemClock
from parley.service.errors import StartError
from parley.service.inside import Inside, InsideSettings
from parley.service.metrics import Registry
from parley.service.settings import PortRange
from parley.service.tls import TlsFiles, client_context
from parley.service.tokens import TokenSigner

SECRET = "a secret of the platform"
NOW = datetime.now(UTC)  # noqa: TID251 - the validity of real certificates
PORTS = PortRange(32700, 32739)


def inside_settings(files: TlsFiles) -> InsideSettings:
    return InsideSettings.load(
        tls_certificate=files.certificate, tls_key=files.key, tls_ca=files.ca
    )


class World:
    """A relay, and how call managers get to it."""

    def __init__(self, settings: Callable[[str], InsideSettings], stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self.front: GrpcFront

    async def start(self) -> "World":
        settings = MediaRelaySettings.load(
            rtp_ports=PORTS, quarantine_s=0, grpc_port=0, inside=self._settings("mediarelay")
        )
        core = RelayService(settings, Registry())
        await core.start()
        self._stack.push_async_callback(core.aclose)
        self.front = GrpcFront(core.relay, settings, SystemClock())
        await self.front.start()
        self._stack.push_async_callback(self.front.aclose)
        return self

    async def control(self, settings: InsideSettings | None = None) -> GrpcMediaControl:
        """A call manager's media control; whether it gets through remains to be seen."""
        inside = Inside(settings or self._settings("callmanager"), "callmanager", (), SystemClock())
        control = GrpcMediaControl(
            [self.front.address], "cm-1", times=MediaTimes(command_s=3.0), inside=inside
        )
        await control.start()
        self._stack.push_async_callback(control.aclose)
        return control

    async def refusal(
        self, channel: grpc.aio.Channel, token: str = "", instance: str = "stranger"
    ) -> grpc.StatusCode:
        """How a stream ends that a stranger opens to command a session."""
        metadata = (("parley-token", token),) if token else ()
        batch = pb.CommandBatch(instance_id=instance)
        async with asyncio.timeout(8), channel:
            call = MediaRelayStub(channel).Control(metadata=metadata)
            try:
                await call.write(batch)
                while await call.read() is not grpc.aio.EOF:
                    pass
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                pass
            code: grpc.StatusCode = await call.code()
            return code


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def with_tls(stack: AsyncExitStack, authority: Authority) -> World:
    return await World(lambda role: inside_settings(authority.issue_role(role)), stack).start()


@pytest.fixture
async def with_token(stack: AsyncExitStack) -> World:
    return await World(lambda role: InsideSettings.load(secret=SECRET), stack).start()


@pytest.fixture(params=["tls", "token"])
async def world(
    request: pytest.FixtureRequest, stack: AsyncExitStack, authority: Authority
) -> World:
    def settings(role: str) -> InsideSettings:
        if request.param == "tls":
            return inside_settings(authority.issue_role(role))
        return InsideSettings.load(secret=SECRET)

    return await World(settings, stack).start()


async def shown(world: World, authority: Authority) -> object:
    """The serial number of the certificate that the relay shows now."""
    context = client_context(authority.issue_role("probe"), checks_name=False).current()
    context.set_alpn_protocols(["h2"])
    async with asyncio.timeout(8):
        _, writer = await asyncio.open_connection("127.0.0.1", world.front.port, ssl=context)
    certificate = writer.get_extra_info("peercert")
    writer.transport.abort()
    return certificate["serialNumber"]


async def up(control: GrpcMediaControl) -> None:
    async with asyncio.timeout(8):
        await control.wait_all_up()


async def test_call_manager_commands_a_relay(world: World) -> None:
    control = await world.control()
    await up(control)

    assert (
        await control.execute(OpenSession("s1", 1, legs=[LegSpec(name, []) for name in "ab"]))
    ).ok
    assert (await control.execute(CloseSession("s1", 1))).ok


@pytest.mark.parametrize("who", ["nobody", "another authority", "another role", "plain"])
async def test_who_shows_no_fitting_certificate_commands_nothing(
    who: str, with_tls: World, authority: Authority, tmp_path: Path
) -> None:
    assert authority.ca is not None
    files = {
        "another authority": Authority(tmp_path / "other", NOW).issue_role("callmanager"),
        "another role": authority.issue_role("edgeproxy"),
    }.get(who, TlsFiles())
    ca = authority.ca.read_bytes()
    credentials = (
        grpc.ssl_channel_credentials(ca)
        if files.certificate is None or files.key is None
        else grpc.ssl_channel_credentials(
            ca, files.key.read_bytes(), files.certificate.read_bytes()
        )
    )
    options = (("grpc.ssl_target_name_override", "mediarelay.parley.internal"),)
    channel = (
        grpc.aio.insecure_channel(with_tls.front.address)
        if who == "plain"
        else grpc.aio.secure_channel(with_tls.front.address, credentials, options=options)
    )

    code = await with_tls.refusal(channel)

    assert code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED)
    assert with_tls.front.streams == 0


async def test_call_manager_obeys_no_relay_of_another_role(
    with_tls: World, authority: Authority
) -> None:
    control = await with_tls.control()
    await up(control)
    assert with_tls.front.streams == 1
    await control.aclose()
    authority.issue("mediarelay", ["edgeproxy.parley.internal"])

    again = await with_tls.control()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await again.wait_all_up()


@pytest.mark.parametrize(
    "who",
    [
        "nobody",
        "another secret",
        "another role",
        "for SIP at this address",
        "for another relay",
        "for any relay",
    ],
)
async def test_who_shows_no_fitting_token_commands_nothing(who: str, with_token: World) -> None:
    secret = b"another secret of somebody" if who == "another secret" else SECRET.encode()
    role = "edgeproxy" if who == "another role" else "callmanager"
    signer = TokenSigner((secret,), role, SystemClock())
    address = with_token.front.address
    purposes = {
        "for SIP at this address": address,
        "for another relay": "mediarelay 127.0.0.1:7100",
        "for any relay": "mediarelay",
    }
    purpose = purposes.get(who, f"mediarelay {address}")
    token = "" if who == "nobody" else signer.sign(purpose)

    code = await with_token.refusal(grpc.aio.insecure_channel(with_token.front.address), token)

    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert with_token.front.streams == 0


async def test_token_that_was_overheard_serves_nobody_again(with_token: World) -> None:
    inside = Inside(InsideSettings.load(secret=SECRET), "callmanager", (), SystemClock())
    [(_, token)] = Dialler(inside).metadata(with_token.front.address)
    # Without an instance id the relay ends the stream of a call manager in order.
    channels = [grpc.aio.insecure_channel(with_token.front.address) for _ in range(2)]
    codes = [await with_token.refusal(channel, token, instance="") for channel in channels]

    assert codes == [grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED]


async def test_strangers_are_few_and_gone_soon(with_token: World) -> None:
    control = await with_token.control()
    await up(control)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as sockets:
        ends: list[asyncio.Task[None]] = []
        sockets.push_async_callback(_cancelled, ends)
        began = loop.time()
        for number in range(MAX_CONNECTIONS + 20):
            sock = sockets.enter_context(socket.socket())
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", with_token.front.port))
            await loop.sock_sendall(sock, preface if number % 2 else b"")
            ends.append(asyncio.create_task(_end_of(sock)))
        # Those above the bound end before the others' time is over.
        async with asyncio.timeout_at(began + 2.5):
            while sum(each.done() for each in ends) < 20:  # noqa: ASYNC110 - each has its task
                await asyncio.sleep(0.01)
        assert (await control.execute(CloseSession("s1", 1))).ok
        async with asyncio.timeout(20):
            await asyncio.gather(*ends)
    await up(await with_token.control())
    assert with_token.front.streams == 2


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _end_of(sock: socket.socket) -> None:
    """Reads until the relay ends the connection."""
    with suppress(ConnectionError):
        while await asyncio.get_running_loop().sock_recv(sock, 1000):
            pass


async def test_relay_that_has_no_name_for_tokens_does_not_start() -> None:
    inside = InsideSettings.load(secret=SECRET, plain=True)
    settings = MediaRelaySettings.load(
        rtp_ports=PORTS, grpc_port=0, grpc_host="0.0.0.0", inside=inside
    )
    core = RelayService(MediaRelaySettings.load(rtp_ports=PORTS), Registry())
    try:
        with pytest.raises(StartError, match="PARLEY_MEDIARELAY_GRPC_ADVERTISED_HOST"):
            await GrpcFront(core.relay, settings, SystemClock()).start()
    finally:
        await core.aclose()


async def test_stream_lives_on_when_certificates_are_replaced(
    with_tls: World, authority: Authority
) -> None:
    control = await with_tls.control()
    await up(control)
    assert (
        await control.execute(OpenSession("s1", 1, legs=[LegSpec(name, []) for name in "ab"]))
    ).ok

    before = await shown(with_tls, authority)
    authority.issue_role("mediarelay")
    authority.issue_role("callmanager")
    assert await shown(with_tls, authority) != before
    newcomer = await with_tls.control()
    await up(newcomer)

    assert (
        await newcomer.execute(OpenSession("s2", 1, legs=[LegSpec(name, []) for name in "ab"]))
    ).ok
    assert (await control.execute(CloseSession("s1", 1))).ok
    assert with_tls.front.streams == 2


async def test_relay_that_others_could_command_does_not_start() -> None:
    settings = MediaRelaySettings.load(rtp_ports=PORTS, grpc_port=0, grpc_host="0.0.0.0")
    core = RelayService(MediaRelaySettings.load(rtp_ports=PORTS), Registry())
    front = GrpcFront(core.relay, settings, SystemClock())
    try:
        with pytest.raises(StartError, match="without TLS"):
            await front.start()
    finally:
        await core.aclose()
