"""Logs are JSON lines, whoever writes them and whatever they hold."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import structlog

from parley.service.log import configure_logging, log_context


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]


def test_line_is_json_with_level_time_and_context(stream: io.StringIO) -> None:
    configure_logging("info", stream)

    with log_context(call_id="c1", tenant_id="t1"):
        structlog.stdlib.get_logger().info("call ended", reason="hangup")

    (line,) = _lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "call ended",
        "level": "info",
        "reason": "hangup",
        "call_id": "c1",
        "tenant_id": "t1",
    }


def test_level_that_is_off_writes_nothing(stream: io.StringIO) -> None:
    configure_logging("warning", stream)
    logger = structlog.stdlib.get_logger()

    logger.info("dull")
    logging.getLogger("library").info("dull")

    assert stream.getvalue() == ""


def test_standard_library_logging_takes_the_same_way(stream: io.StringIO) -> None:
    configure_logging("info", stream)

    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("library").exception("it %s", "failed")

    (line,) = _lines(stream)
    assert (line["event"], line["level"], line["logger"]) == ("it failed", "error", "library")
    assert "ValueError: broken" in line["exception"]


def test_anything_can_be_logged(stream: io.StringIO) -> None:
    configure_logging("info", stream)
    logger = structlog.stdlib.get_logger()

    logger.info("bytes from the wire", text="caf\udce9", what=object)
    logger.info("fine", value={1: 2})

    first, second = _lines(stream)
    assert first["event"] == "bytes from the wire"
    assert first["text"] == "caf\\udce9"
    assert second["value"] == {"1": 2}
