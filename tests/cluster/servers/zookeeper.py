"""ZooKeeper, a single server; its jars come from Maven with Kafka's."""

import struct
from collections.abc import Sequence

from tests.cluster.servers.base import HOST, Unready
from tests.cluster.servers.java import JavaServer, key_store
from tests.cluster.servers.wire import connection, exchange

_TICK_MS = 200
_MAX_SESSION_MS = 60_000
_PROBE_SESSION_MS = 2000
_EPHEMERAL = 1
_CREATE, _CLOSE = 1, -11
_ALL_RIGHTS = 31
_NODE_EXISTS = -110


class ZooKeeperServer(JavaServer):
    """One server whose sessions may be as short as two ticks of 0.2 s."""

    name = "zookeeper"

    @property
    def url(self) -> str:
        """`host:port`, as clients take it."""
        return f"{HOST}:{self.port}"

    def _prepare(self) -> Sequence[str]:
        config = self.folder / "zoo.cfg"
        properties = {
            "tickTime": _TICK_MS,
            "minSessionTimeout": 2 * _TICK_MS,
            "maxSessionTimeout": _MAX_SESSION_MS,
            "dataDir": self.folder / "data",
            **self._listener(),
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "*",
            "maxClientCnxns": 0,
            "preAllocSize": 1024,
            "autopurge.purgeInterval": 1,
        }
        lines = [f"{name}={value}\n" for name, value in properties.items()]
        config.write_text("".join(lines), encoding="utf-8")
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        return self.java(main, str(config))

    def _listener(self) -> dict[str, object]:
        if self.tls is None:
            return {"clientPort": self.port, "clientPortAddress": HOST}
        return {
            "secureClientPort": self.port,
            "secureClientPortAddress": HOST,
            "serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory",
            "authProvider.x509": "org.apache.zookeeper.server.auth.X509AuthenticationProvider",
            "ssl.keyStore.type": "PEM",
            "ssl.keyStore.location": key_store(self.folder, self.tls),
            "ssl.trustStore.type": "PEM",
            "ssl.trustStore.location": self.tls.ca,
            "ssl.clientAuth": "need",
            # Clients are known by their CA, not by the name of their host.
            "ssl.hostnameVerification": "false",
            "ssl.clientHostnameVerification": "false",
        }

    def _probe(self) -> None:
        # A session and an ephemeral node, in ZooKeeper's own protocol (jute).
        with connection(self.port, tls=self.tls) as opened:
            hello = struct.pack(">iqiqi16s", 0, 0, _PROBE_SESSION_MS, 0, 16, b"")
            exchange(opened, hello + b"\0")
            path, acl = _text("/parley-probe"), _text("world") + _text("anyone")
            create = struct.pack(">ii", 1, _CREATE) + path + struct.pack(">i", -1)
            create += struct.pack(">ii", 1, _ALL_RIGHTS) + acl + struct.pack(">i", _EPHEMERAL)
            answer = exchange(opened, create)
            exchange(opened, struct.pack(">ii", 2, _CLOSE))
        _, _, error = struct.unpack_from(">iqi", answer)
        if error not in {0, _NODE_EXISTS}:
            raise Unready(f"error {error} of ZooKeeper")


def _text(value: str) -> bytes:
    return struct.pack(">i", len(value)) + value.encode("ascii")
