"""WebSocket event stream."""
