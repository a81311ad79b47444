"""Logs are JSON lines, whoever writes them and whatever they hold."""

import io
import logging
from typing import Any

import msgspec
import pytest
import structlog

from parley.service.log import configure_logging


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]


def test_line_is_json_with_level_and_time(log_stream: io.StringIO) -> None:
    configure_logging("info", log_stream)

    structlog.stdlib.get_logger().info("call ended", reason="hangup", call_id="c1")

    (line,) = _lines(log_stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "call ended",
        "level": "info",
        "reason": "hangup",
        "call_id": "c1",
    }


class FullDisk(io.StringIO):
    """Takes nothing, or all."""

    is_full = True

    def write(self, text: str) -> int:
        if self.is_full:
            raise OSError(28, "No space left on device")
        return super().write(text)

    def flush(self) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")


@pytest.mark.usefixtures("log_stream")
def test_who_logs_does_not_suffer_for_a_full_disk() -> None:
    stream = FullDisk()
    configure_logging("info", stream)

    structlog.stdlib.get_logger().info("lost")
    logging.getLogger("library").error("lost")
    stream.is_full = False
    structlog.stdlib.get_logger().info("kept")

    assert [line["event"] for line in _lines(stream)] == ["kept"]


@pytest.mark.usefixtures("log_stream")
def test_who_logs_does_not_suffer_for_a_closed_stream() -> None:
    stream = io.StringIO()
    stream.close()
    configure_logging("info", stream)

    structlog.stdlib.get_logger().info("lost")


def test_level_that_is_off_writes_nothing(log_stream: io.StringIO) -> None:
    configure_logging("warning", log_stream)
    logger = structlog.stdlib.get_logger()

    logger.info("dull")
    logging.getLogger("library").info("dull")

    assert log_stream.getvalue() == ""


def test_standard_library_logging_takes_the_same_way(log_stream: io.StringIO) -> None:
    configure_logging("info", log_stream)

    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("library").exception("it %s", "failed")

    (line,) = _lines(log_stream)
    assert (line["event"], line["level"], line["logger"]) == ("it failed", "error", "library")
    assert "ValueError: broken" in line["exception"]


def test_anything_can_be_logged(log_stream: io.StringIO) -> None:
    configure_logging("info", log_stream)
    logger = structlog.stdlib.get_logger()

    logger.info("bytes from the wire", text="caf\udce9", what=object)
    logger.info("fine", value={1: 2})

    first, second = _lines(log_stream)
    assert first["event"] == "bytes from the wire"
    assert first["text"] == "caf\\udce9"
    assert second["value"] == {"1": 2}
