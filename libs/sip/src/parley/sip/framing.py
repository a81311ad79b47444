"""Cutting streams into messages by Content-Length (RFC 3261 18.3), with limits and keep-alives."""

from parley.sipcore import FramingError, KeepAlive, Limits, StreamFramer

__all__ = ["FramingError", "KeepAlive", "Limits", "StreamFramer"]
