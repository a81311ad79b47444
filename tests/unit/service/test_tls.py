"""TLS files may be replaced at any moment; what begins afterwards uses the new ones."""

import os
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
import structlog.testing
from tests.cluster.authority import Authority

from parley.service import tls
from parley.service.errors import StartError
from parley.service.tls import Followed, TlsFiles, client_context, read_pem, server_context

NOW = datetime.now(UTC)  # noqa: TID251 - the validity of real certificates


def shake_hands(
    client: ssl.SSLContext, server: ssl.SSLContext, host: str = "callmanager.parley.internal"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Does a whole handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(to_client, to_server, server_hostname=host)
    right = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [left, right]
    for _ in range(10):
        for end in tuple(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    assert not waiting
    return left, right


def serial(end: ssl.SSLObject) -> object:
    certificate = end.getpeercert()
    assert certificate is not None
    return certificate["serialNumber"]


def test_new_handshake_shows_the_new_certificate(authority: Authority) -> None:
    edge, manager = authority.issue_role("edgeproxy"), authority.issue_role("callmanager")
    client, server = client_context(edge), server_context(manager)
    left, right = shake_hands(client, server)
    before = serial(left), serial(right)

    authority.issue_role("callmanager")
    authority.issue_role("edgeproxy")
    left, right = shake_hands(client, server)

    assert serial(left) != before[0]
    assert serial(right) != before[1]


def test_secret_that_is_swapped_behind_a_symlink_is_noticed(tmp_path: Path) -> None:
    first, second = Authority(tmp_path / "first", NOW), Authority(tmp_path / "second", NOW)
    for each in (first, second):
        each.issue_role("callmanager")
    data = tmp_path / "..data"
    data.symlink_to("first")
    files = TlsFiles(data / "callmanager.crt", data / "callmanager.key", data / "ca.pem")
    seen = Followed(files, read_pem)
    before = seen.current()

    (tmp_path / "..new").symlink_to("second")
    os.replace(tmp_path / "..new", data)

    assert seen.current() != before
    assert seen.current().ca == second.ca.read_bytes()


def test_half_a_pair_leaves_the_old_one_in_force(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A logger of its own: one that was used keeps the logging that an earlier test set up.
    monkeypatch.setattr(tls, "_logger", structlog.stdlib.get_logger())
    manager = authority.issue_role("callmanager")
    assert manager.key is not None
    server, client = server_context(manager), client_context(authority.issue_role("edgeproxy"))
    before = serial(shake_hands(client, server)[0])
    old_key = manager.key.read_bytes()

    authority.issue_role("callmanager")
    new_key = manager.key.read_bytes()
    manager.key.write_bytes(old_key + b"\n")
    with structlog.testing.capture_logs() as logs:
        during = [serial(shake_hands(client, server)[0]) for _ in range(2)]
    manager.key.write_bytes(new_key)

    assert during == [before, before]
    assert [line["log_level"] for line in logs] == ["warning"]
    assert serial(shake_hands(client, server)[0]) != before


def test_authority_that_was_taken_away_is_not_believed_any_more(tmp_path: Path) -> None:
    old, new = Authority(tmp_path / "old", NOW), Authority(tmp_path / "new", NOW)
    manager, edge = old.issue_role("callmanager"), old.issue_role("edgeproxy")
    server, client = server_context(manager), client_context(edge)
    shake_hands(client, server)
    assert manager.ca is not None

    manager.ca.write_bytes(new.ca.read_bytes())

    with pytest.raises(ssl.SSLError):
        shake_hands(client, server)


def test_session_cannot_be_resumed_without_its_certificate(authority: Authority) -> None:
    server = server_context(authority.issue_role("callmanager"))
    context = ssl.create_default_context(cafile=authority.ca)
    edge = authority.issue_role("edgeproxy")
    assert edge.certificate is not None
    context.load_cert_chain(edge.certificate, edge.key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    left, _ = shake_hands(context, server)

    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    again = context.wrap_bio(
        to_client, to_server, server_hostname="callmanager.parley.internal", session=left.session
    )
    right = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for end in (again, right):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue

    assert not right.session_reused


def test_files_that_cannot_be_used_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"absent\.crt.*cannot be used"):
        server_context(TlsFiles(tmp_path / "absent.crt", tmp_path / "absent.key"))
