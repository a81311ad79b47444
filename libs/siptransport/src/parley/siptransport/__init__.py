"""Sockets and the one timer that drive parley.sip."""
