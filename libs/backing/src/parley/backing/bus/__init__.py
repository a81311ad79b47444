"""The event bus: a partitioned log with consumer groups."""
