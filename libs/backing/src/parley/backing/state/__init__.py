"""Shared state: values, owned records, limits and timers that every instance sees."""
