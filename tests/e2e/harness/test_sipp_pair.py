"""sipp calls sipp."""

from pathlib import Path
from typing import Literal

import pytest

from parley.testkit.phones.process import ChildError
from parley.testkit.phones.sip_trace import messages_of
from parley.testkit.phones.sipp import Scenario, SippRun, run_sipp

HERE = Path(__file__).parent


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
