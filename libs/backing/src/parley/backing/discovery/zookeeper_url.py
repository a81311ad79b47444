"""Addresses of a ZooKeeper ensemble: `zookeeper://name:password@host:port,host:port/folder`.

`zookeeper+tls://...` uses TLS for every connection.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote

DEFAULT_URL = "zookeeper://127.0.0.1:2181/parley"
_SCHEME = re.compile(r"zookeeper(\+tls)?://")
_DEFAULT_PORT = "2181"
_MAX_PORT = 65535


class ZookeeperUrl(NamedTuple):
    """Where an ensemble is.

    Attributes:
        hosts: `host:port,host:port`.
        folder: the node below which everything lies, such as `/parley`.
        credentials: `name:password`, or empty.
        is_tls: connections are TLS.
    """

    hosts: str
    folder: str
    credentials: str = ""
    is_tls: bool = False


def parse_zookeeper_url(text: str) -> ZookeeperUrl:
    """Reads a URL.

    Raises:
        ValueError: it is none; the text, which may hold a password, is not repeated.
    """
    scheme = _SCHEME.match(text)
    if scheme is None:
        raise ValueError("the discovery URL begins with zookeeper:// or zookeeper+tls://")
    place, _, folder = text[scheme.end() :].partition("/")
    credentials, at, hosts = place.rpartition("@")
    if at and not all(credentials.partition(":")):
        raise ValueError("the discovery URL has a name and a password before the @")
    for host in hosts.split(","):
        _check_host(host)
    parts = [part for part in folder.split("/") if part]
    if any(part in {".", ".."} or not part.isprintable() for part in parts):
        raise ValueError("the discovery URL names a folder that ZooKeeper cannot have")
    return ZookeeperUrl(
        hosts, "/" + "/".join(parts or ["parley"]), unquote(credentials), bool(scheme[1])
    )


def _check_host(text: str) -> None:
    name, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        name, port = text, _DEFAULT_PORT
    if not name or not port.isdecimal() or not 0 < int(port) <= _MAX_PORT:
        raise ValueError("the discovery URL has a place that is not host:port")
