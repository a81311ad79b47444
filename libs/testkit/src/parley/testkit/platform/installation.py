"""An all-in-one of its own for one test: one data folder, started and ended in every way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

from parley.testkit.phones.ports import reserve_ports
from parley.testkit.phones.process import Child
from parley.testkit.phones.raw_phone import RawPhone
from parley.testkit.platform.running import Demo, bad_lines

_ARGV = [sys.executable, "-m", "parley.allinone"]
_START_S = 60.0
_STOP_S = 20.0
_POLL_S = 0.05
_RTP_PORTS = 40


class Installation:
    """One data folder with its ports; started any number of times.

    Attributes:
        data: the folder.
        environment: of every start.
    """

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self._folder = folder
        self._children: list[Child] = []
        self._phones: list[RawPhone] = []
        rtp = reserve_ports(_RTP_PORTS, align=2)
        self.environment = {
            "PARLEY_DATA": str(self.data),
            "PARLEY_RTP_PORTS": f"{rtp}-{rtp + _RTP_PORTS - 1}",
            "PARLEY_DRAIN_S": "2",
            "PARLEY_CALLMANAGER_HANG_UP_S": "1",
        }
        for name in ("SIP", "SIP_TLS", "API", "WSI", "HEALTH"):
            self.environment[f"PARLEY_{name}_PORT"] = str(reserve_ports())

    @property
    def demo(self) -> Demo:
        """What the last start has written."""
        return Demo.read(self.data / "demo.json")

    def start(self, **settings: str) -> Child:
        """Starts and waits until it is ready."""
        child = self.spawn(**settings)
        child.wait_for_line("^Parley is ready$", _START_S)
        return child

    def spawn(self, **settings: str) -> Child:
        """Starts."""
        log = self._folder / f"run-{len(self._children)}.log"
        child = Child("allinone", _ARGV, log, {**self.environment, **settings})
        self._children.append(child)
        return child

    def refused(self, **settings: str) -> tuple[int, str]:
        """Starts what must not come up; returns its status and what it says on stderr."""
        ended = subprocess.run(  # noqa: S603 - our own program
            _ARGV,
            env={**os.environ, **self.environment, **settings},
            capture_output=True,
            text=True,
            timeout=_START_S,
            check=False,
        )
        assert "Parley is ready" not in ended.stdout
        return ended.returncode, ended.stderr

    def phone(self, place: int) -> RawPhone:
        """A phone of the demo tenant's first, second, ... extension."""
        demo = self.demo
        phone = RawPhone(demo.lines[place], demo.sip)
        self._phones.append(phone)
        return phone

    def get(self, path: str) -> list[dict[str, Any]]:
        """Items of one of the demo tenant's collections."""
        demo = self.demo
        response = httpx2.get(
            f"{demo.api_url}/v1/tenants/{demo.tenant_id}/{path}",
            headers={"Authorization": f"Bearer {demo.api_token}"},
            timeout=5.0,
        )
        assert response.status_code == 200, response.text
        items: list[dict[str, Any]] = response.json()["items"]
        return items

    def wait_for(self, path: str, timeout_s: float = 5.0) -> list[dict[str, Any]]:
        """As `get`, once there is an item."""
        until = time.perf_counter() + timeout_s
        while not (items := self.get(path)):
            assert time.perf_counter() < until, f"no {path} in {timeout_s:g} s"
            time.sleep(_POLL_S)
        return items

    def close(self) -> None:
        """Ends what still runs."""
        for phone in self._phones:
            phone.close()
        for child in self._children:
            child.kill()


def end(child: Child, number: signal.Signals = signal.SIGTERM) -> None:
    """Stops a child by a signal, as an operator does; it must end well and have no complaint."""
    os.kill(child.pid, number)
    assert child.wait(_STOP_S) == 0, child.failure("did not end well")
    assert bad_lines(child.lines) == []
