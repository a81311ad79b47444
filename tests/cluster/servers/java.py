"""Servers on Java: their jars, fetched once by Maven into a cache, and the virtual machine."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.cluster.servers.base import Server, program
from tests.cluster.servers.errors import ServerAbsent

from parley.allinone.private_file import write_private
from parley.service.tls import TlsFiles

_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_FETCH_S = 600.0
_STARTS_QUICKLY = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.net.preferIPv4Stack=true",
)
_JARS = Path(__file__).parent / "jars"


def cache_folder() -> Path:
    """Where downloads are kept: `PARLEY_CACHE`, or `parley` in the user's cache folder."""
    given = os.environ.get("PARLEY_CACHE")
    if given:
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "parley"


def ensure_jars(name: str) -> Path:
    """Returns the folder with a server's jars, fetched if need be.

    Args:
        name: of a Maven project in `jars/`.

    Raises:
        ServerAbsent: Java or Maven is missing, or Maven cannot fetch.
    """
    pom = (_JARS / f"{name}.xml").read_bytes()
    home = cache_folder() / f"{name}-{hashlib.sha256(pom).hexdigest()[:12]}"
    if home.is_dir():
        return home
    maven = program("mvn", "maven")
    home.parent.mkdir(parents=True, exist_ok=True)
    with _alone(home.parent / "lock"):
        if not home.is_dir():
            _fetch(maven, name, home)
    return home


def logging_option() -> str:
    """The Java option that names the servers' logging configuration."""
    return f"-Dlog4j2.configurationFile={_JARS / 'log4j2.properties'}"


class JavaServer(Server):
    """A server whose main class lies in fetched jars."""

    start_timeout_s = 60.0
    jars = "kafka"
    memory = "128m"

    def java(self, *words: str) -> Sequence[str]:
        """Returns the command line of the virtual machine with further words.

        Raises:
            ServerAbsent: Java or the jars cannot be had.
        """
        java = program("java", "default-jre-headless")
        home = ensure_jars(self.jars)
        options = (*_STARTS_QUICKLY, f"-Xmx{self.memory}", logging_option())
        return (java, *options, "-cp", f"{home}/*", *words)


def key_store(folder: Path, tls: TlsFiles) -> Path:
    """Writes certificate and key into one PEM file, as Java's servers want it."""
    assert tls.certificate is not None and tls.key is not None
    path = folder / "key-store.pem"
    write_private(path, tls.key.read_bytes() + tls.certificate.read_bytes())
    return path


def _fetch(maven: str, name: str, home: Path) -> None:
    with TemporaryDirectory(prefix=f"{name}-", dir=home.parent) as folder:
        pom, jars = Path(folder) / "pom.xml", Path(folder) / "jars"
        pom.write_bytes((_JARS / f"{name}.xml").read_bytes())
        argv = [maven, "-B", "-ntp", "-q", "-f", str(pom), _COPY]
        argv += [f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=_FETCH_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise ServerAbsent(f"Maven did not fetch {name} in {_FETCH_S:g} s.") from None
        if done.returncode:
            lines = (done.stdout + done.stderr).strip().splitlines() or ["no reason given"]
            raise ServerAbsent(f"Maven cannot fetch {name}: {lines[0]}.")
        shutil.move(jars, home)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
