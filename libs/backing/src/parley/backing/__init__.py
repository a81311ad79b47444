"""Ports to the backing services, with embedded and real adapters."""
