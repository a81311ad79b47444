"""Requests and responses on their way between phones and call managers (RFC 3261 16)."""
