"""An eye on servers and processes: says what died, starts it again when asked to."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

import structlog
from tests.cluster.processes import Processes
from tests.cluster.servers.base import Server
from tests.cluster.servers.errors import ServerAbsent, ServerFailed

from parley.service.clock import Clock
from parley.service.errors import StartError
from parley.service.tasks import TaskOwner

_LOOK_S: Final = 0.2

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_Application = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

_logger = structlog.stdlib.get_logger(__name__)


class Watch:
    """A service of the supervisor, the first to drain: nothing is started again from then on."""

    name = "watch"

    def __init__(
        self,
        servers: Sequence[Server],
        processes: Processes,
        restart_s: float | None,
        clock: Clock,
        on_change: Callable[[], None],
    ) -> None:
        """Takes what to watch.

        Args:
            servers: all of the cluster's.
            processes: all of the cluster's.
            restart_s: seconds after which a dead one is started again; None: never.
            clock: for that time.
            on_change: called when a pid has changed.
        """
        self._servers = {server.name: server for server in servers}
        self._processes = processes
        self._restart_s = restart_s
        self._clock = clock
        self._on_change = on_change
        self._tasks = TaskOwner()
        self._died_at: dict[str, float] = {}
        self._busy: set[str] = set()
        self._is_watching = False

    async def start(self) -> None:
        """Begins to watch."""
        self._is_watching = True
        self._tasks.spawn(self._run(), name="cluster watch")

    async def drain(self, timeout_s: float) -> None:
        """Stops watching: what ends now was asked to."""
        await self.aclose()

    async def aclose(self) -> None:
        """Stops watching."""
        self._is_watching = False
        await self._tasks.aclose()

    def is_ready(self) -> bool:
        """Says whether it watches."""
        return self._is_watching

    def is_busy(self, name: str) -> bool:
        """Says whether it is being started again."""
        return name in self._busy

    async def restart(self, name: str, *, is_hung: bool = False) -> None:
        """Stops a server or process, if it runs, and starts it again.

        Args:
            name: of either.
            is_hung: a process that is killed, since it would not stop.

        Raises:
            KeyError: there is nothing of that name.
            StartError: it does not come up.
        """
        self._busy.add(name)
        try:
            server = self._servers.get(name)
            if server is None:
                await self._processes.restart(name, is_hung=is_hung)
            else:
                await asyncio.to_thread(server.restart)
        except (ServerAbsent, ServerFailed) as error:
            raise StartError(str(error)) from error
        finally:
            self._busy.discard(name)
            self._died_at.pop(name, None)
            if self._is_watching:
                self._on_change()

    def interface(self, token: str) -> _Application:
        """Returns the HTTP interface: `POST /restart/<name>` with the token as bearer."""

        async def application(scope: _Scope, receive: _Receive, send: _Send) -> None:
            if scope["type"] != "http":
                return
            status, text = await self._answer(scope, token)
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": f"{text}\n".encode()})

        return application

    async def _answer(self, scope: _Scope, token: str) -> tuple[int, str]:
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, f"Bearer {token}".encode()):
            return 401, "the token of control.json is needed"
        _, action, name = f"{scope['path']}//".split("/", 2)
        if scope["method"] != "POST" or action != "restart":
            return 404, "not found"
        try:
            await self.restart(name.rstrip("/"))
        except KeyError:
            return 404, "there is no such process or server"
        except StartError as error:
            return 500, str(error)
        return 200, "restarted"

    async def _run(self) -> None:
        while True:
            for name, complaint in self._dead().items():
                if name not in self._died_at:
                    self._died_at[name] = self._clock.now()
                    _logger.warning("a part of the cluster has died", part=name, reason=complaint)
                    self._on_change()
                elif self._restart_s is not None and self._is_due(name, self._restart_s):
                    self._tasks.spawn(self._restart_dead(name), name=f"restart {name}")
            await asyncio.sleep(_LOOK_S)

    def _is_due(self, name: str, pause_s: float) -> bool:
        return self._clock.now() - self._died_at[name] >= pause_s

    def _dead(self) -> dict[str, str]:
        found = {
            name: "the server has ended"
            for name, server in self._servers.items()
            if not server.is_running
        }
        for plan in self._processes.dead():
            found[plan.name] = f"ended with status {self._processes.status(plan.name)}"
        return {name: reason for name, reason in found.items() if name not in self._busy}

    async def _restart_dead(self, name: str) -> None:
        try:
            await self.restart(name)
        except StartError as error:
            _logger.warning("a part of the cluster did not come back", part=name, reason=str(error))
