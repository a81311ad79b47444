"""Redis from the machine's package (Debian: redis-server)."""

from collections.abc import Sequence
from pathlib import Path

from tests.cluster.servers.base import HOST, Server, Unready, program
from tests.cluster.servers.wire import connection

_BUFFER = 65_536


class RedisServer(Server):
    """One Redis server; every acknowledged write is in its append-only file within a second.

    Attributes:
        options: further command line options; read at each start.
    """

    name = "redis"
    start_timeout_s = 10.0

    def __init__(self, folder: Path, port: int = 0, options: Sequence[str] = ()) -> None:
        """Takes further command line options, such as `("--appendfsync", "always")`."""
        super().__init__(folder, port)
        self.options = tuple(options)

    @property
    def url(self) -> str:
        """`redis://host:port/0`, or `rediss://...`."""
        return f"redis{'s' if self.tls else ''}://{HOST}:{self.port}/0"

    def command(self, *words: str) -> bytes:
        """Does one command and returns the raw answer (RESP, at most one read).

        Raises:
            Unready: the server answers with an error.
            OSError: it cannot be reached.
        """
        lines = [f"*{len(words)}"]
        for word in words:
            lines += [f"${len(word.encode())}", word]
        with connection(self.port, tls=self.tls) as opened:
            opened.sendall(("\r\n".join(lines) + "\r\n").encode())
            answer = opened.recv(_BUFFER)
        if not answer or answer.startswith(b"-"):
            raise Unready(answer.decode("utf-8", "replace").strip() or "the connection was closed")
        return answer

    def _prepare(self) -> Sequence[str]:
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        return (
            program("redis-server", "redis-server"),
            *("--bind", HOST, *self._listener(), "--dir", str(data)),
            *("--appendonly", "yes", "--save", "", "--daemonize", "no"),
            # A replica that never finished its first copy would lose what was acknowledged.
            *("--repl-diskless-sync-delay", "0"),
            *self.options,
        )

    def _listener(self) -> Sequence[str]:
        if self.tls is None:
            return ("--port", str(self.port))
        return (
            *("--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "yes"),
            *("--tls-cert-file", str(self.tls.certificate), "--tls-key-file", str(self.tls.key)),
            *("--tls-ca-cert-file", str(self.tls.ca)),
        )

    def _probe(self) -> None:
        # A replica and a node of a cluster refuse writes: for them an answer is the proof.
        try:
            self.command("SET", "parley:probe", "1", "PX", "1")
        except Unready as error:
            if not str(error).startswith(("-READONLY", "-CLUSTERDOWN", "-MOVED")):
                raise
