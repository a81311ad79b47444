"""Every service in one process with embedded backing."""
