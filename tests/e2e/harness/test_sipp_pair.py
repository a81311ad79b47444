"""sipp calls sipp."""

import asyncio
from pathlib import Path
from typing import Literal

import psutil
import pytest

from parley.testkit.phones.process import ChildError
from parley.testkit.phones.sip_trace import messages_of
from parley.testkit.phones.sipp import Scenario, SippRun, run_sipp

HERE = Path(__file__).parent


async def bound(port: int) -> None:
    """Returns when some process has a socket on the port: sipp gives up when TCP is refused."""
    async with asyncio.timeout(5):
        while port not in _ports():  # noqa: ASYNC110 - another process has no event of ours
            await asyncio.sleep(0.01)


def _ports() -> set[int]:
    return {each.laddr.port for each in psutil.net_connections("inet") if each.laddr}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_calls_between_two_sipps(tmp_path: Path, transport: Literal["udp", "tcp"]) -> None:
    with SippRun(Scenario(HERE / "uas.xml", calls=3, transport=transport), tmp_path) as callee:
        scenario = Scenario(
            HERE / "uac.xml",
            f"127.0.0.1:{callee.port}",
            rows=[["1001"], ["1003"]],
            keys={"callee": "1002"},
            calls=3,
            transport=transport,
        )
        await bound(callee.port)
        result = await run_sipp(scenario, tmp_path)
        await callee.finished()
    assert (result.successful, result.failed) == (3, 0)
    assert len(messages_of(callee.messages(), "INVITE")) == 3
    assert len(messages_of(result.messages, "BYE", 200)) == 3


async def test_failed_call_shows_its_messages(tmp_path: Path) -> None:
    with SippRun(Scenario(HERE / "uas.xml"), tmp_path) as callee:
        wrong = Scenario(HERE / "uas.xml", f"127.0.0.1:{callee.port}", timeout_s=1)
        with pytest.raises(ChildError, match="0 of 1 calls went well"):
            await run_sipp(wrong, tmp_path)
