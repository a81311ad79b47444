"""What an end-to-end test works with: lines, phones on them, events and CDRs of one platform."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from parley.testkit.phones.baresip import Baresip
from parley.testkit.phones.baresip_config import Account, Transport
from parley.testkit.phones.line import Line
from parley.testkit.phones.sip_trace import TracedMessage
from parley.testkit.platform.api import ApiClient, moment
from parley.testkit.platform.events import EventStream, event_stream
from parley.testkit.platform.running import Platform
from parley.testkit.platform.sipp_line import SippLine


@dataclass(frozen=True, slots=True)
class Desk:
    """One test's place at a running platform.

    Attributes:
        platform: where the phones register.
        api: a client of the demo tenant.
        folder: for configurations, logs and recordings.
    """

    platform: Platform
    api: ApiClient
    folder: Path

    async def lines(self, count: int) -> list[Line]:
        """Extensions that no other test uses."""
        return [await self.api.new_line() for _ in range(count)]

    def baresip(
        self,
        line: Line,
        transport: Transport = "udp",
        *,
        edge: int = 0,
        tone_hz: float = 440.0,
        answers: bool = False,
    ) -> Baresip:
        """A baresip for a line; it starts and registers when entered."""
        server = self.platform.edges[edge].address(transport)
        account = Account(line.number, line.password, line.domain, server, transport, answers)
        return Baresip(account, self.folder, tone_hz)

    def sipp(
        self, line: Line, transport: Literal["udp", "tcp"] = "udp", *, edge: int = 0
    ) -> SippLine:
        """A sipp for a line."""
        return SippLine.of(line, self.platform.edges[edge], self.folder, transport)

    def events(self, *topics: str) -> AbstractAsyncContextManager[EventStream]:
        """A subscription to events."""
        return event_stream(self.platform.demo, topics)

    async def cdr(self, caller: Line) -> dict[str, Any]:
        """The one CDR of the one call that a line made, its times checked against each other."""
        record = await self.api.wait_for_cdr(caller)
        check_times(record)
        return record

    def assert_media_at_relay(self, messages: Sequence[TracedMessage]) -> None:
        """Every description that came in names ports of the relay for all its live streams."""
        described = [
            (message.start_line, message.sdp)
            for message in messages
            if message.is_received and message.sdp is not None
        ]
        assert described, "no description came in"
        for start_line, sdp in described:
            assert sdp is not None
            ports = [media.port for media in sdp.media if media.is_active]
            outside = [port for port in ports if port not in self.platform.rtp_ports]
            assert not outside, f"{start_line} names {outside}, not ports of the relay"

    def assert_from_relay(self, source: str) -> None:
        """RTP came from a port of the relay (`host:port`)."""
        port = int(source.rpartition(":")[2])
        assert port in self.platform.rtp_ports, f"RTP came from {source}, not from the relay"


def check_times(record: dict[str, Any]) -> None:
    """A CDR's times follow each other, and its duration is the time from answer to end."""
    names = ("started_at", "ringing_at", "answered_at", "ended_at")
    times = [moment(record[name]) for name in names if record[name] is not None]
    assert times == sorted(times), f"times out of order: {record}"
    if record["answered_at"] is None:
        assert record["duration_s"] == 0
        return
    talked_s = (moment(record["ended_at"]) - moment(record["answered_at"])).total_seconds()
    assert abs(record["duration_s"] - talked_s) < 0.1, f"wrong duration: {record}"


def ending(record: dict[str, Any]) -> tuple[str, int, str]:
    """A CDR's result, SIP status and who ended the call."""
    termination = record["termination"]
    return termination["result"], termination["sip_status"], termination["by"]
