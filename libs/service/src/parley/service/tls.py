"""TLS whose files may be replaced while the process runs (certificate rotation, hot reload).

Every handshake looks whether certificate, key or CA file are still those that were read: another
time stamp, inode or size, also behind a symlink that was swapped as Kubernetes does with secrets.
What was established goes on; what begins gets the new files. Files that cannot be used (half of a
pair that is being replaced) leave the old ones in force until they change again.
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import structlog

from parley.service.errors import StartError

T = TypeVar("T")

_Stamp: TypeAlias = tuple[tuple[int, int, int] | None, ...]

_logger = structlog.stdlib.get_logger(__name__)


class TlsFiles(NamedTuple):
    """PEM files of one end of TLS connections.

    Attributes:
        certificate: our certificate and its chain; None: we show none.
        key: its key.
        ca: the authorities that we believe; None: the system's, and of a server: clients need not
            show a certificate.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None


class Pem(NamedTuple):
    """The files' contents, for libraries that take nothing else."""

    certificate: bytes
    key: bytes
    ca: bytes


class Followed(Generic[T]):
    """Something made of TLS files, and made anew when they have changed."""

    def __init__(self, files: TlsFiles, make: Callable[[TlsFiles], T]) -> None:
        """Makes it for the first time.

        Raises:
            StartError: a file is missing or broken, or the key is another certificate's.
        """
        self._files = files
        self._make = make
        self._seen = _stamp(files)
        try:
            self._value = make(files)
        except (OSError, ValueError) as error:
            names = ", ".join(str(path) for path in files if path is not None)
            raise StartError(f"The TLS files {names} cannot be used: {error}.") from error

    def current(self) -> T:
        """Returns it as the files are now; safe to be called by several threads."""
        seen = _stamp(self._files)
        if seen != self._seen:
            # Before they are read: what changes meanwhile is seen the next time.
            self._seen = seen
            try:
                self._value = self._make(self._files)
            except (OSError, ValueError) as error:
                _logger.warning(
                    "TLS files cannot be used; the old ones stay",
                    certificate=str(self._files.certificate),
                    reason=str(error),
                )
            else:
                _logger.info("TLS files read again", certificate=str(self._files.certificate))
        return self._value


class LiveContext(ssl.SSLContext):
    """A context that begins each connection with the one that the files make now.

    Event loops and client libraries keep a context for long and call `wrap_bio` or `wrap_socket`
    for every connection; only these two are of use here.
    """

    _followed: Followed[ssl.SSLContext]

    @classmethod
    def follow(
        cls, files: TlsFiles, make: Callable[[TlsFiles], ssl.SSLContext], *, is_server: bool
    ) -> "LiveContext":
        """Makes one.

        Raises:
            StartError: the files cannot be used.
        """
        context = cls(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
        context._followed = Followed(files, make)
        first = context.current()
        # For libraries that look whether they have to bring a name.
        context.check_hostname = first.check_hostname
        context.verify_mode = first.verify_mode
        return context

    def current(self) -> ssl.SSLContext:
        """Returns the context that a connection would begin with now."""
        return self._followed.current()

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Begins a connection of an event loop."""
        return self.current().wrap_bio(*args, **kwargs)

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Begins a connection on a blocking socket."""
        return self.current().wrap_socket(*args, **kwargs)


def server_context(files: TlsFiles) -> LiveContext:
    """Returns the context of a server: TLS 1.2 and later; with a CA, clients must prove themselves.

    Raises:
        StartError: the files cannot be used.
    """
    return LiveContext.follow(files, _make_server, is_server=True)


def client_context(
    files: TlsFiles, *, checks_name: bool = True, verify: ssl.VerifyMode = ssl.CERT_REQUIRED
) -> LiveContext:
    """Returns the context of a client: TLS 1.2 and later.

    Args:
        files: ours.
        checks_name: the server's certificate must name the host that was dialled; without it the
            caller has to look at the certificate.
        verify: whether a certificate is believed that no authority of ours has signed.

    Raises:
        StartError: the files cannot be used.
    """

    def make(files: TlsFiles) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=files.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = checks_name and verify is not ssl.CERT_NONE
        context.verify_mode = verify
        _show(context, files)
        return context

    return LiveContext.follow(files, make, is_server=False)


def read_pem(files: TlsFiles) -> Pem:
    """Reads a whole pair and its CA.

    Raises:
        OSError: a file cannot be read, or the key is another certificate's.
    """
    assert files.certificate is not None and files.key is not None and files.ca is not None
    _make_server(files)
    parts = (path.read_bytes() for path in (files.certificate, files.key, files.ca))
    return Pem(*parts)


def dns_names(certificate: Any) -> frozenset[str]:
    """Returns the DNS names of a certificate as `getpeercert` gives it, in lower case."""
    names = (certificate or {}).get("subjectAltName", ())
    return frozenset(value.lower() for kind, value in names if kind == "DNS")


def _make_server(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _show(context, files)
    if files.ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(files.ca)
        # A resumed session proves what was true when it began.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context


def _show(context: ssl.SSLContext, files: TlsFiles) -> None:
    if files.certificate is not None:
        context.load_cert_chain(files.certificate, files.key)


def _stamp(files: TlsFiles) -> _Stamp:
    return tuple(_stamp_of(path) for path in files if path is not None)


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_ino, seen.st_size
