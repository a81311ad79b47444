"""Watchers of views: told the present view first, then every later one."""

import asyncio
from collections.abc import Callable

import structlog

from parley.backing.discovery.base import Instance, WatchCallback

_logger = structlog.stdlib.get_logger(__name__)


class Watches:
    """The watchers of one process, by service.

    Args:
        view: returns the present view of a service.
    """

    def __init__(self, view: Callable[[str], list[Instance]]) -> None:
        self.view = view
        self._by_service: dict[str, list[ServiceWatch]] = {}

    def add(self, service: str, callback: WatchCallback) -> "ServiceWatch":
        """Calls back soon with the present view, and after every `notify`."""
        watch = ServiceWatch(self, service, callback)
        self._by_service.setdefault(service, []).append(watch)
        watch.notify()
        return watch

    def notify(self, service: str) -> None:
        """Tells the watchers of a service soon that its view changed."""
        for watch in self._by_service.get(service, ()):
            watch.notify()

    def forget(self, service: str, watch: "ServiceWatch") -> None:
        """Removes a watcher."""
        watches = self._by_service.get(service, [])
        if watch in watches:
            watches.remove(watch)

    def close(self) -> None:
        """Ends all calls."""
        for watches in list(self._by_service.values()):
            for watch in watches.copy():
                watch.close()


class ServiceWatch:
    """A callback that is told of changes, at most once per turn of the loop."""

    def __init__(self, watches: Watches, service: str, callback: WatchCallback) -> None:
        self._watches = watches
        self._service = service
        self._callback = callback
        self._call: asyncio.Handle | None = None

    def notify(self) -> None:
        """Sees to it that the callback is called soon."""
        if self._call is None:
            self._call = asyncio.get_running_loop().call_soon(self._run)

    def close(self) -> None:
        """Ends the calls."""
        if self._call is not None:
            self._call.cancel()
        self._watches.forget(self._service, self)

    def _run(self) -> None:
        self._call = None
        try:
            self._callback(self._watches.view(self._service))
        except Exception:
            _logger.exception("discovery watcher failed", service=self._service)
