"""The RTP plane: sessions, who hears whom in them, and statistics, on threads written in Rust.

An `Engine` is told of each session the scene (`parley.model.scene`) that its call wants, binds the
ports and forwards without ever taking the interpreter's lock. Its methods are cheap and
synchronous; what they ask of the threads happens at the next `Engine.flush()`. Watch
`Engine.event_fd()` with an event loop and call `Engine.drain_events()` when it is readable.
"""

from parley.mediaengine._engine import (
    Engine,
    EngineError,
    InvalidScene,
    OwnPort,
    PortsExhausted,
    StaleScene,
    StreamReport,
    UnknownSession,
)

__all__ = [
    "Engine",
    "EngineError",
    "InvalidScene",
    "OwnPort",
    "PortsExhausted",
    "StaleScene",
    "StreamReport",
    "UnknownSession",
]
