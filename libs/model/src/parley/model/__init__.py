"""Typed ids, records and the events that travel on the bus and to WSI clients."""
