"""Relays as processes of their own, to be killed, frozen and asked to end."""

import asyncio
import os
import signal
import sys

import msgspec

from parley.testkit.phones.ports import reserve_ports


class RelayChild:
    """One `python -m parley.mediarelay`."""

    def __init__(self, process: asyncio.subprocess.Process, address: str, health: int) -> None:
        self._process = process
        self.address = address
        self.health_port = health

    @classmethod
    async def start(cls, rtp_ports: int = 40, **settings: str) -> "RelayChild":
        first = reserve_ports(rtp_ports, align=2)
        health = reserve_ports()
        environment = os.environ | {
            "PARLEY_MEDIARELAY_GRPC_PORT": "0",
            "PARLEY_MEDIARELAY_HEALTH_PORT": str(health),
            "PARLEY_MEDIARELAY_RTP_PORTS": f"{first}-{first + rtp_ports - 1}",
            **{f"PARLEY_MEDIARELAY_{name.upper()}": value for name, value in settings.items()},
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "parley.mediarelay",
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(40):
                while True:
                    line = msgspec.json.decode(await process.stdout.readline())
                    if line["event"] == "media relay listens":
                        return cls(process, f"127.0.0.1:{line['port']}", health)
        except BaseException:
            process.kill()
            await process.wait()
            raise

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    def kill(self) -> None:
        self._process.kill()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        self._process.terminate()

    async def wait(self, seconds: float) -> int:
        return await asyncio.wait_for(self._process.wait(), seconds)

    async def aclose(self) -> None:
        if self.is_running:
            self._process.kill()
            await self._process.wait()

    async def sessions(self) -> int:
        """What the relay itself counts."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.health_port)
        try:
            writer.write(b"GET /metrics HTTP/1.0\r\nhost: localhost\r\n\r\n")
            async with asyncio.timeout(5):
                text = (await reader.read()).decode()
        finally:
            writer.close()
        [line] = [
            line for line in text.splitlines() if line.startswith("parley_mediarelay_sessions ")
        ]
        return int(float(line.split()[1]))
