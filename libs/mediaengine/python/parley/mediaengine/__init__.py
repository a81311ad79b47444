"""The RTP plane: endpoints, bridges, echo and statistics, on threads written in Rust.

An `Engine` binds a port pair per endpoint and forwards between endpoints without ever taking the
interpreter's lock. Its methods are cheap and synchronous; what they ask of the threads happens at
the next `Engine.flush()`. Watch `Engine.event_fd()` with an event loop and call
`Engine.drain_events()` when it is readable.
"""

from parley.mediaengine._engine import (
    EndpointSpec,
    EndpointStats,
    Engine,
    EngineError,
    PortsExhausted,
)

__all__ = ["EndpointSpec", "EndpointStats", "Engine", "EngineError", "PortsExhausted"]
