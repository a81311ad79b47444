"""Which methods are served out of a dialog, and what the others are told.

The one table: from it come the answers and the `Allow` that goes with them (RFC 3261 20.5, 21.4.6).
Within a dialog the call manager answers, and says in its own `Allow` what is served there.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SERVED: Final = 200
_IN_A_DIALOG_ONLY: Final = 481
_NOT_SERVED: Final = 405
_UNKNOWN: Final = 501

_METHODS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "INVITE": SERVED,
        "ACK": SERVED,
        "CANCEL": SERVED,
        "OPTIONS": SERVED,
        "REGISTER": SERVED,
        # Meaningful in a dialog only (RFC 3261 15, 3311, 6086).
        "BYE": _IN_A_DIALOG_ONLY,
        "INFO": _IN_A_DIALOG_ONLY,
        "UPDATE": _IN_A_DIALOG_ONLY,
        "MESSAGE": _NOT_SERVED,
        "NOTIFY": _NOT_SERVED,
        "PRACK": _NOT_SERVED,
        "PUBLISH": _NOT_SERVED,
        "REFER": _NOT_SERVED,
        "SUBSCRIBE": _NOT_SERVED,
    }
)

ALLOW: Final = ", ".join(name for name, status in _METHODS.items() if status != _NOT_SERVED)


def status_out_of_dialog(method: str) -> int:
    """Returns `SERVED`, or how a request of this method out of a dialog is refused."""
    return _METHODS.get(method, _UNKNOWN)
