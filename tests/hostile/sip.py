"""Strangers at the SIP ports while phones register and call: `python -m tests.hostile.sip`.

Starts an all-in-one of its own on free ports of loopback and prints a table: what was thrown at
it, its memory, and what the phones noticed. It fails when a phone noticed anything.
"""

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.meters import rss

from parley.testkit.farm.load import Load
from parley.testkit.phones.process import Child
from parley.testkit.platform.running import Platform, Topology

SETTINGS: Final = {
    # All phones share one loopback address, and nobody is exempt, as on a public network.
    "PARLEY_EDGEPROXY_UNLIMITED_SOURCES": "",
    "PARLEY_EDGEPROXY_STRANGER_TIMEOUT_S": "10",
}
_ROOT: Final = Path(__file__).parents[2]
_REFRESHES_S: Final = 2.0  # rarely enough that no phone begins a second one meanwhile
_CALLS_S: Final = 2.0
_HOLD_S: Final = 0.5
_POLL_S: Final = 0.1
_END_S: Final = 5.0


@dataclass(slots=True)
class Outcome:
    """What an attack did.

    Attributes:
        attack: what it was.
        said: what the attackers tell about it.
        rss_mb: memory of the platform before, at most, and after, in MB.
        registrations, calls: tries of the phones.
        failures: what went wrong with them.
        worst_s: the longest try of each kind that went well.
    """

    attack: str
    said: str
    rss_mb: tuple[float, float, float]
    registrations: int
    calls: int
    failures: list[str]
    worst_s: tuple[float, float]

    def row(self) -> str:
        """One line of the table."""
        before, peak, after = self.rss_mb
        return (
            f"| {self.attack} | {self.said} | {before:.0f} / {peak:.0f} / {after:.0f} | "
            f"{self.registrations} | {self.calls} | {len(self.failures)} | "
            f"{self.worst_s[0]:.2f} / {self.worst_s[1]:.2f} |"
        )


HEAD: Final = (
    "| attack | attackers | RSS before / most / after MB | refreshes | calls | failed | "
    "slowest refresh / call s |\n|---|---|---|---|---|---|---|"
)


async def flood(platform: Platform, count: int, rate: float, addresses: int) -> Outcome:
    """INVITEs and REGISTERs without credentials from many addresses, while phones use UDP."""
    arguments = ["flood", "--count", str(count), "--rate", str(rate)]
    name = f"{count} INVITE and REGISTER at {rate:g}/s from {addresses} addresses"
    return await _attack(platform, name, [*arguments, "--addresses", str(addresses)], ("udp",))


async def crowd(platform: Platform, connections: int, addresses: int, seconds: float) -> Outcome:
    """Idle and slow TCP connections, while phones use TCP and UDP."""
    arguments = ["crowd", "--connections", str(connections), "--seconds", str(seconds)]
    name = f"{connections} idle or slow TCP connections from {addresses} addresses"
    arguments += ["--addresses", str(addresses)]
    return await _attack(platform, name, arguments, ("tcp", "udp"))


async def _attack(
    platform: Platform, name: str, arguments: list[str], transports: tuple[str, ...]
) -> Outcome:
    host, _, port = platform.demo.sip.rpartition(":")
    where = ["--host", host, "--port", port, "--domain", platform.demo.domain]
    argv = [sys.executable, "-m", "tests.hostile.attackers", *arguments, *where]
    lines = platform.demo.lines
    share = len(lines) // len(transports)
    async with AsyncExitStack() as stack:
        loads = [
            await stack.enter_async_context(
                Load(lines[at * share : (at + 1) * share], platform.demo.sip, transport)
            )
            for at, transport in enumerate(transports)
        ]
        memory = Memory(platform.pid)
        for load in loads:
            load.keep_registering(_REFRESHES_S)
            load.keep_calling(_CALLS_S, _HOLD_S)
        child = Child("attackers", argv, platform.folder / "attackers.log", cwd=_ROOT)
        try:
            while child.is_running:
                memory.look()
                await asyncio.sleep(_POLL_S)
            status = child.wait(_END_S)
            assert status == 0, child.failure("should have ended with status 0")
            for load in loads:
                await load.stop()
        finally:
            child.kill()
        return _outcome(name, child.lines[-1].strip(), memory.figures(), loads)


class Memory:
    """What a process holds, in MB."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = self._peak = self._now()

    def look(self) -> None:
        """Measures."""
        self._peak = max(self._peak, self._now())

    def figures(self) -> tuple[float, float, float]:
        """Before, at most, now."""
        return self._before, self._peak, self._now()

    def _now(self) -> float:
        return rss(self._pid) / 2**20


def _outcome(
    name: str, said: str, rss_mb: tuple[float, float, float], loads: list[Load]
) -> Outcome:
    registrations = [each for load in loads for each in load.ledger.registrations]
    calls = [each for load in loads for each in load.ledger.calls]
    failures = [each.failure for each in (*registrations, *calls) if each.failure]
    worst = tuple(
        max((each.took_s for each in kind), default=0.0) for kind in (registrations, calls)
    )
    return Outcome(
        name, said, rss_mb, len(registrations), len(calls), failures, (worst[0], worst[1])
    )


async def _run(folder: Path) -> int:
    outcomes = []
    for name in ("flood", "crowd"):
        platform = Platform(Topology.ALLINONE, folder / name, ("127.0.0.1",), SETTINGS)
        try:
            if name == "flood":
                outcomes.append(await flood(platform, 100_000, 5_000.0, 2_000))
            else:
                outcomes.append(await crowd(platform, 10_000, 20, 60.0))
        finally:
            platform.stop()
    sys.stdout.write("\n".join([HEAD, *(each.row() for each in outcomes)]) + "\n")
    for each in outcomes:
        for failure in each.failures[:10]:
            sys.stdout.write(f"{each.attack}: {failure}\n")
    return 1 if any(each.failures for each in outcomes) else 0


def main() -> int:
    """Runs both attacks; 1 when a phone noticed one."""
    with tempfile.TemporaryDirectory(prefix="parley-hostile-") as folder:
        return asyncio.run(_run(Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
