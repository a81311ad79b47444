"""Session descriptions, and where a relay takes their media: what several suites use."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

RICH: Final = (Path(__file__).parent / "data" / "sdp" / "rich.sdp").read_bytes()
"""Has every kind of line that is read or rewritten."""


@dataclass(frozen=True, slots=True)
class LocalStream:
    """Where the relay takes the media of the section at `index`."""

    index: int
    ip: str
    rtp_port: int
    rtcp_port: int
