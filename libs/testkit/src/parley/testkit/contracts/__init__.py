"""Behaviour that every adapter of a port must show; run on each by `tests/contract`."""
