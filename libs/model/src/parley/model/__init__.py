"""Typed ids, records and the events that travel on the bus, WSI and webhooks."""
