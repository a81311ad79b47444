"""The relay's core: commands in, replies and events out, over the media engine.

Synchronous throughout: a command is a few microseconds of Python and some system calls. All the
commands of one `execute` wake the engine's threads once. Commands of an older epoch than the
session's are refused; any command may be repeated.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog

from parley.mediaengine import (
    Engine,
    EngineError,
    InvalidScene,
    OwnPort,
    PortsExhausted,
    StaleScene,
    UnknownSession,
)
from parley.mediarelay.metrics import RelayMetrics
from parley.mediarelay.net_policy import AddressRefused, NetPolicy
from parley.mediarelay.session import Session
from parley.mediarelay.two_party import TooManyLegs, TwoParty
from parley.model.media import (
    ApplyScene,
    CloseSession,
    Command,
    MediaEvent,
    MediaTimedOut,
    OpenSession,
    Reply,
    ReplyError,
    SessionLost,
    StreamStats,
    UpdateSession,
)

WATCH_S: Final = 0.1
"""Pause between two looks at the engine's threads."""

_logger = structlog.stdlib.get_logger(__name__)


class _Draining(Exception):
    """No new session is taken."""


_ERRORS: Final[Mapping[type[Exception], ReplyError]] = {
    InvalidScene: ReplyError.INVALID,
    TooManyLegs: ReplyError.INVALID,
    StaleScene: ReplyError.STALE_EPOCH,
    UnknownSession: ReplyError.UNKNOWN_SESSION,
    AddressRefused: ReplyError.ADDRESS_REFUSED,
    OwnPort: ReplyError.ADDRESS_REFUSED,
    PortsExhausted: ReplyError.PORTS_EXHAUSTED,
    EngineError: ReplyError.INTERNAL,
    _Draining: ReplyError.DRAINING,
}
_REFUSALS: Final = tuple(_ERRORS)


class Relay:
    """Media sessions on one engine, which it owns.

    Attributes:
        is_draining: new sessions are refused.
    """

    def __init__(self, engine: Engine, ip: str, metrics: RelayMetrics, policy: NetPolicy) -> None:
        """Takes the engine over.

        Args:
            engine: closed by `close`.
            ip: the address phones are told; differs from the engine's behind NAT.
            metrics: where to count.
            policy: says where media may be sent.
        """
        self.is_draining = False
        self._engine = engine
        self._policy = policy
        self._threads = engine.living_threads
        self._watchdog: asyncio.TimerHandle | None = None
        self._ip = ip
        self._metrics = metrics
        self._sessions: dict[str, Session] = {}
        self._callback: Callable[[MediaEvent], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        metrics.show_load(lambda: len(self._sessions), lambda: engine.free_pairs)
        self._handlers: dict[type[Command], Callable[[Any], Reply]] = {
            OpenSession: self._open,
            UpdateSession: self._update,
            ApplyScene: self._apply,
            CloseSession: self._close,
        }

    @property
    def sessions(self) -> int:
        """Sessions open now."""
        return len(self._sessions)

    @property
    def session_ids(self) -> list[str]:
        """Their ids."""
        return list(self._sessions)

    @property
    def capacity(self) -> int:
        """Sessions of one bridged stream, open ones included, that there is room for.

        Ports and descriptors limit it, and threads that were lost.
        """
        if not self._engine.living_threads:
            return 0
        free = self._engine.free_pairs // 2
        return len(self._sessions) + free * self._engine.living_threads // self._threads

    @property
    def takes_sessions(self) -> bool:
        """Whether new sessions are taken: it does not drain, and a thread is left to carry them."""
        return not self.is_draining and self._engine.living_threads > 0

    def start(self) -> None:
        """Begins to tell events, and to watch the engine's threads, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._engine.event_fd(), self.read_events)
        self._metrics.set_threads(self._engine.living_threads)
        self._watch(self._loop)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watchdog = loop.call_later(WATCH_S, self._watch, loop)
        self._engine.check()

    def close(self) -> None:
        """Closes every session and the engine; may be repeated."""
        if self._loop is not None:
            self._loop.remove_reader(self._engine.event_fd())
            self._loop = None
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        self._engine.shut_down()
        self._sessions.clear()
        self._empty.set()

    async def wait_empty(self) -> None:
        """Returns when no session is open."""
        # Commands of one `execute` may close the last session and open another.
        while self._sessions:
            await self._empty.wait()

    def on_event(self, callback: Callable[[MediaEvent], None]) -> None:
        """Names the one callback for media events; it must not raise."""
        self._callback = callback

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        """Carries commands out in order; one reply each, whatever happens."""
        replies = []
        try:
            for command in commands:
                reply = self._attempt(command)
                self._metrics.count_command(command, reply)
                replies.append(reply)
        finally:
            self._engine.flush()
        return replies

    def is_silent(self, session_id: str, seconds: float) -> bool:
        """Whether a session is gone, or has received nothing for so long."""
        session = self._sessions.get(session_id)
        return session is None or session.is_silent_for(seconds)

    def drop(self, session_id: str, reason: str) -> None:
        """Closes a session that nobody commands any more and tells that it is lost."""
        session = self._sessions.get(session_id)
        if session is not None:
            self._release(session)
            self._engine.flush()
            self._tell(SessionLost(session_id, reason))

    def drop_all(self, reason: str) -> None:
        """Closes every session and tells that they are lost."""
        for session_id in self.session_ids:
            self.drop(session_id, reason)

    def read_events(self) -> None:
        """Takes the engine's events and tells those that concern a call."""
        for kind, session_id, leg, is_other_heard in self._engine.drain_events():
            if kind == "thread_lost":
                self._metrics.set_threads(self._engine.living_threads)
                _logger.error("media thread lost", left=self._engine.living_threads)
            elif session_id not in self._sessions:
                continue  # Closed in the meantime.
            elif kind == "failed":
                _logger.error("session failed", session_id=session_id)
                self.drop(session_id, "the media engine failed")
            else:
                self._tell(MediaTimedOut(session_id, leg, is_other_heard))
        self._engine.flush()

    def _attempt(self, command: Command) -> Reply:
        try:
            return self._handlers[type(command)](command)
        except _REFUSALS as error:
            return _refusal(command, _ERRORS[type(error)], str(error))
        except Exception:
            _logger.exception("command failed", session_id=command.session_id)
            return _refusal(command, ReplyError.INTERNAL, "a bug in the media relay; see its log")

    def _apply(self, command: ApplyScene) -> Reply:
        session = self._sessions.get(command.session_id)
        if session is None and not command.may_open:
            raise UnknownSession("the relay has no such session")
        session = session or self._new(command)
        session.apply(command.epoch, command.revision, command.scene)
        session.two_party = None
        return self._accept(session)

    def _open(self, command: OpenSession) -> Reply:
        session = self._find(command) or self._new(command)
        said = session.two_party or TwoParty(command.mode)
        if said.mode is not command.mode:
            raise InvalidScene(f"the session is a {said.mode}, not a {command.mode}")
        return self._hear(session, command, said)

    def _update(self, command: UpdateSession) -> Reply:
        session = self._find(command)
        if session is None:
            raise UnknownSession("the relay has no such session")
        if session.two_party is not None:
            return self._hear(session, command, session.two_party)
        if command.legs or command.media_timeout_s is not None:
            raise InvalidScene("the session has a scene, of which no piece is changed")
        session.apply(command.epoch, session.revision + 1, session.scene)
        return self._accept(session)

    def _hear(
        self, session: Session, command: OpenSession | UpdateSession, said: TwoParty
    ) -> Reply:
        said = said.hear(command.legs, command.media_timeout_s)
        session.apply(command.epoch, session.revision + 1, said.scene())
        session.two_party = said
        return self._accept(session)

    def _new(self, command: Command) -> Session:
        if not self.takes_sessions:
            raise _Draining("the relay takes no new session")
        return Session(command.session_id, self._engine, self._ip, self._policy)

    def _accept(self, session: Session) -> Reply:
        self._sessions[session.session_id] = session
        self._empty.clear()
        return Reply(session.session_id, ok=True, legs=session.ports)

    def _close(self, command: CloseSession) -> Reply:
        session = self._find(command)
        if session is None:
            return Reply(command.session_id, ok=True)
        stats = self._release(session)
        return Reply(command.session_id, ok=True, stats=stats)

    def _release(self, session: Session) -> list[StreamStats]:
        del self._sessions[session.session_id]
        if not self._sessions:
            self._empty.set()
        stats = session.close()
        self._metrics.count_streams(stats)
        return stats

    def _find(self, command: Command) -> Session | None:
        """Finds a command's session, unless a newer owner has commanded it."""
        session = self._sessions.get(command.session_id)
        if session is None:
            return None
        if command.epoch < session.epoch:
            detail = f"epoch {command.epoch} is older than the session's, {session.epoch}"
            raise StaleScene(detail)
        return session

    def _tell(self, event: MediaEvent) -> None:
        self._metrics.count_event(event)
        if self._callback is not None:
            self._callback(event)


def _refusal(command: Command, error: ReplyError, detail: str) -> Reply:
    return Reply(command.session_id, ok=False, error=error, detail=detail)
