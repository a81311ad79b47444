"""Where Redis is: URLs of one server, of Sentinels and of a cluster.

* `redis://[user:password@]host:port/0`, with TLS `rediss://...`;
* `redis+sentinel://[user:password@]h1:p1,h2:p2/mymaster/0`: the login is that of the servers, the
  Sentinels' own is given by `sentinel_username` and `sentinel_password` in the query;
* `redis+cluster://[user:password@]h1:p1,h2:p2`: some of the nodes, the others are learnt.

`rediss+sentinel` and `rediss+cluster` use TLS for every connection. The query may set
`ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`, `ssl_cert_reqs` and `ssl_check_hostname`; files that
it does not name are those of all backing services.
"""

import enum
import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from parley.service.errors import StartError
from parley.service.tls import TlsFiles, client_context

_PORTS = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_TLS_OPTIONS = {
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_cert_reqs",
    "ssl_check_hostname",
}
_OPTIONS = _TLS_OPTIONS | {"sentinel_username", "sentinel_password"}


class Kind(enum.Enum):
    """How the server of a key is found."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class Address(NamedTuple):
    """A server's place."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Login:
    """What a server is told when a connection begins.

    Attributes:
        username: empty for the default user.
        password: empty for none.
        db: number of the database.
        tls: context of TLS connections; None for plain ones.
    """

    username: str = ""
    password: str = ""
    db: int = 0
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A parsed URL.

    Attributes:
        kind: how the server of a key is found.
        addresses: the server, the Sentinels, or nodes of the cluster.
        master: name of the master that the Sentinels watch.
        login: for servers.
        sentinel_login: for Sentinels.
    """

    kind: Kind
    addresses: tuple[Address, ...]
    master: str
    login: Login
    sentinel_login: Login

    def __str__(self) -> str:
        """Says where it is, without what is secret."""
        places = ", ".join(map(str, self.addresses))
        if self.kind is Kind.SENTINEL:
            return f"Redis (master {self.master} by Sentinels at {places})"
        return f"Redis at {places}" if self.kind is Kind.SINGLE else f"Redis Cluster at {places}"


def parse_redis_url(url: str, tls: TlsFiles = TlsFiles()) -> RedisUrl:  # noqa: B008 - immutable
    """Reads a URL; `tls` are the files of TLS where it names none.

    Raises:
        ValueError: it is none of the forms above; the text names no secret.
    """
    parts = urlsplit(url)
    scheme, _, name = parts.scheme.partition("+")
    kind = next((kind for kind in Kind if kind.value == (name or "single")), None)
    if scheme not in {"redis", "rediss"} or kind is None or name == "single":
        raise ValueError(
            "a URL of Redis begins with redis://, redis+sentinel:// or redis+cluster://"
        )
    options = _options(parts)
    user, _, places = parts.netloc.rpartition("@")
    username, _, password = user.partition(":")
    addresses = tuple(_address(place, _PORTS[kind.value]) for place in places.split(","))
    if kind is Kind.SINGLE and len(addresses) > 1:
        raise ValueError("a URL of one Redis server names one address")
    master, db = _path(parts, kind)
    login = Login(
        unquote(username),
        unquote(password),
        db,
        _tls(options, tls) if scheme == "rediss" else None,
    )
    sentinel_login = replace(
        login,
        username=options.get("sentinel_username", ""),
        password=options.get("sentinel_password", ""),
        db=0,
    )
    return RedisUrl(kind, addresses, master, login, sentinel_login)


def _options(parts: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if options.keys() - _OPTIONS:
        # Which one is not repeated: it may be the rest of a password with a question mark.
        raise ValueError(f"the options of Redis's URL are {', '.join(sorted(_OPTIONS))}")
    useless = set() if parts.scheme.startswith("rediss") else options.keys() & _TLS_OPTIONS
    if useless:
        raise ValueError(f"the option {min(useless)} needs a URL with TLS (rediss)")
    return options


def _address(text: str, default_port: int) -> Address:
    try:
        place = urlsplit(f"//{text}")
        host, port = place.hostname, place.port
    except ValueError:
        raise ValueError("the URL of Redis has an address that is not host:port") from None
    if not host or "@" in text:
        raise ValueError("the URL of Redis has an address that is not host:port")
    return Address(host, port or default_port)


def _path(parts: SplitResult, kind: Kind) -> tuple[str, int]:
    items = [unquote(item) for item in parts.path.split("/")[1:] if item]
    master = ""
    if kind is Kind.SENTINEL:
        if not items:
            raise ValueError("a URL of Sentinels ends with the name of a master")
        master = items.pop(0)
    if len(items) > 1 or not all(item.isdecimal() for item in items):
        raise ValueError("the URL of Redis ends with the number of a database, or nothing")
    db = int(items[0]) if items else 0
    if kind is Kind.CLUSTER and db:
        raise ValueError("Redis Cluster has database 0 only")
    return master, db


def _tls(options: dict[str, str], files: TlsFiles) -> ssl.SSLContext:
    requirement = options.get("ssl_cert_reqs", "required")
    if requirement not in {"none", "optional", "required"}:
        raise ValueError("ssl_cert_reqs is none, optional or required")
    check = options.get("ssl_check_hostname", "true").lower()
    if check not in {"true", "false"}:
        raise ValueError("ssl_check_hostname is true or false")
    named = [options.get(name) for name in ("ssl_certfile", "ssl_keyfile", "ssl_ca_certs")]
    own = [Path(text) if text else None for text in named]
    certificate, key = own[:2] if own[0] is not None else files[:2]
    try:
        return client_context(
            TlsFiles(certificate, key, own[2] or files.ca),
            checks_name=check == "true",
            verify=ssl.VerifyMode[f"CERT_{requirement.upper()}"],
        )
    except StartError as error:
        raise ValueError(str(error).rstrip(".")) from error
