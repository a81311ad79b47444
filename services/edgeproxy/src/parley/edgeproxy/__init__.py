"""Public SIP entry: registrar, digest authentication, stateful proxy."""
