"""A ZooKeeper that is reached by TLS proves itself, and our files may change meanwhile."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.cluster.authority import Authority

from parley.backing.discovery.zookeeper_session import ZookeeperSession
from parley.backing.discovery.zookeeper_url import parse_zookeeper_url
from parley.service.errors import StartError
from parley.service.tls import TlsFiles, server_context

NOW = datetime.now(UTC)  # noqa: TID251 - the validity of real certificates
_TIMEOUT_S = 10.0


class Server:
    """Takes one connection at a time, and hangs up as soon as a client has spoken."""

    def __init__(self, listener: socket.socket, files: TlsFiles) -> None:
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._tls = server_context(files)

    async def accept(self) -> object | None:
        """Returns the serial number of the next client's certificate; None: it refused ours."""
        return await asyncio.to_thread(self._accept)

    def _accept(self) -> object | None:
        plain, _ = self._listener.accept()
        plain.settimeout(_TIMEOUT_S)
        try:
            with self._tls.wrap_socket(plain, server_side=True) as connection:
                # In TLS 1.3 a client's refusal comes after our handshake.
                if not connection.recv(1):
                    return None
                shown = connection.getpeercert()
        except ConnectionError:
            return None
        except ssl.SSLError as error:
            if "ALERT" not in (error.reason or ""):
                raise
            return None
        assert shown is not None
        return shown["serialNumber"]


@asynccontextmanager
async def dialled(server: TlsFiles, client: TlsFiles) -> AsyncIterator[Server]:
    """A server, and a session that goes on trying to connect to it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_TIMEOUT_S)
        accepting = Server(listener, server)
        url = parse_zookeeper_url(f"zookeeper+tls://127.0.0.1:{accepting.port}/parley")
        session = ZookeeperSession(url, 4.0, client)
        session.start()
        try:
            yield accepting
        finally:
            await session.aclose()


@pytest.fixture
def client(authority: Authority) -> TlsFiles:
    return authority.issue("client", ["accounting.parley.internal"])


async def test_server_that_shows_the_dialled_name_is_believed(
    authority: Authority, client: TlsFiles
) -> None:
    async with dialled(authority.issue("server", ["127.0.0.1"]), client) as server:
        assert await server.accept() is not None


async def test_server_that_shows_another_name_is_refused(
    authority: Authority, client: TlsFiles
) -> None:
    async with dialled(authority.issue("server", ["zookeeper.test"]), client) as server:
        assert await server.accept() is None


async def test_authority_of_the_system_is_not_believed_beside_ours(
    authority: Authority, client: TlsFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Authority(tmp_path / "other", NOW, "Other")
    monkeypatch.setenv("SSL_CERT_FILE", str(other.ca))
    shown = other.issue("server", ["127.0.0.1"])._replace(ca=authority.ca)
    async with dialled(shown, client) as server:
        assert await server.accept() is None


async def test_next_connection_shows_a_certificate_that_was_renewed(
    authority: Authority, client: TlsFiles
) -> None:
    async with dialled(authority.issue("server", ["127.0.0.1"]), client) as server:
        before = await server.accept()
        authority.issue("client", ["accounting.parley.internal"])
        # The session may have begun a connection before the files were new.
        later = [await server.accept(), await server.accept()]
    assert later[1] not in {None, before}


async def test_half_a_pair_leaves_the_old_one_in_force(
    authority: Authority, client: TlsFiles
) -> None:
    fresh = authority.issue("fresh", ["accounting.parley.internal"])
    assert client.certificate is not None and fresh.certificate is not None
    async with dialled(authority.issue("server", ["127.0.0.1"]), client) as server:
        before = await server.accept()
        client.certificate.write_bytes(fresh.certificate.read_bytes())
        during = [await server.accept(), await server.accept()]
    assert during == [before, before]


def test_files_that_cannot_be_used_stop_the_start(tmp_path: Path) -> None:
    url = parse_zookeeper_url("zookeeper+tls://127.0.0.1:2281/parley")
    with pytest.raises(StartError, match=r"absent\.crt.*cannot be used"):
        ZookeeperSession(url, 4.0, TlsFiles(tmp_path / "absent.crt", tmp_path / "absent.key"))
