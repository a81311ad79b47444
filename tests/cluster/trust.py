"""What the processes of a cluster show each other and their servers (docs/design/trust.md).

With `PARLEY_CLUSTER_TLS` an authority of the cluster signs a certificate for every process and
server at each start; without, the services share a secret for their tokens.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from tests.cluster.authority import Authority
from tests.cluster.servers.base import HOST

from parley.allinone.private_file import ensure_secret
from parley.service.tls import TlsFiles

_DOMAIN = "parley.internal"


class ClusterTrust:
    """Certificates of a cluster, or its secret."""

    def __init__(self, folder: Path, now: datetime, *, is_tls: bool) -> None:
        """Makes the authority, or the secret.

        Args:
            folder: of all files, private.
            now: aware wall time.
            is_tls: everything speaks TLS.
        """
        self._authority = Authority(folder, now) if is_tls else None
        self._secret = "" if is_tls else ensure_secret(folder / "inside")
        self._issued: dict[str, TlsFiles] = {}

    def server(self, name: str) -> TlsFiles | None:
        """The files of a backing server; None for a plain one."""
        return self._issue(name, HOST)

    def client(self) -> TlsFiles:
        """The files of what belongs to no service: the supervisor, tests, status."""
        return self._issue("client", f"client.{_DOMAIN}") or TlsFiles()

    def backing(self) -> Mapping[str, str]:
        """Settings of such a client for the backing servers."""
        return _settings("PARLEY_BACKING", self.client())

    def process(self, service: str, name: str) -> Mapping[str, str]:
        """Settings of one process of a service: `name` is that of its files."""
        files = self._issue(name, f"{service}.{_DOMAIN}")
        if files is None:
            return {"PARLEY_INSIDE_SECRET": self._secret}
        return {**_settings("PARLEY_BACKING", files), **_settings("PARLEY_INSIDE", files)}

    def _issue(self, name: str, dns_name: str) -> TlsFiles | None:
        if self._authority is None:
            return None
        if name not in self._issued:
            self._issued[name] = self._authority.issue(name, [dns_name])
        return self._issued[name]


def _settings(prefix: str, files: TlsFiles) -> dict[str, str]:
    names = ("CERTIFICATE", "KEY", "CA")
    given = zip(names, files, strict=True)
    return {f"{prefix}_TLS_{name}": str(path.absolute()) for name, path in given if path}
