"""How messages find their transaction (RFC 3261 17.1.3 and 17.2.3)."""

MAGIC_COOKIE = "z9hG4bK"

CANCELLABLE = (
    "INVITE",
    "REGISTER",
    "OPTIONS",
    "BYE",
    "MESSAGE",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
    "PUBLISH",
    "UPDATE",
    "INFO",
    "PRACK",
)
"""What a CANCEL may name; for all but INVITE it is answered and changes nothing (9.2)."""

Key = tuple[object, ...]
"""What a layer finds a transaction by (`Request.transaction_key`)."""
