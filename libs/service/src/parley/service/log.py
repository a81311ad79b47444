"""Structured logs: one JSON object a line on stdout, ours and those of libraries alike.

A level that is off costs a look-up and an empty call. Phone numbers and SDP are logged at debug
only. A line that cannot be written (a full disk, a reader that went) is lost: whoever logs is never
the one to suffer for it.
"""

import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, TextIO, cast

import msgspec
import structlog
from structlog.types import Processor

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

_ENCODER: Final = msgspec.json.Encoder(enc_hook=repr)


def _render(_logger: object, _method: str, event: dict[str, Any] | Any) -> str:
    # Text from the wire may hold surrogates, which JSON in UTF-8 cannot: they are escaped.
    try:
        return _ENCODER.encode(event).decode()
    except (UnicodeEncodeError, TypeError, ValueError):
        return _ENCODER.encode({str(key): _safe(value) for key, value in event.items()}).decode()


def _safe(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text.encode("utf-8", "backslashreplace").decode()


_SHARED: Final[tuple[Processor, ...]] = (
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    structlog.processors.format_exc_info,
)


class _BestEffort:
    """A stream that loses what it cannot write."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # the latter of a closed one
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def configure_logging(level: str, stream: TextIO | None) -> None:
    """Routes structlog and the standard library's logging to one stream of JSON lines.

    Args:
        level: a key of `LEVELS`; what lies below it is dropped at no cost.
        stream: where to write; None: stdout.
    """
    target = cast(TextIO, _BestEffort(sys.stdout if stream is None else stream))
    number = LEVELS[level]
    structlog.configure(
        processors=[*_SHARED, _render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *_SHARED],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries talk about themselves at info; only their warnings concern an operator.
    root.setLevel(max(number, logging.WARNING) if number > logging.DEBUG else number)
