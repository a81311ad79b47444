"""Many phones in one process: load and witnesses for tests that break things."""
