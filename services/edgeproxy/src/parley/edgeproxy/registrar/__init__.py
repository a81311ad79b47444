"""REGISTER and the bindings it leaves (RFC 3261 10, RFC 5626)."""
