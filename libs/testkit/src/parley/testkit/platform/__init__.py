"""A whole platform under test: its processes, its REST API, its events."""
