"""The Via branches of a call manager's requests: they name the call, so that its owner is found.

`z9hG4bK-<call id>-<epoch>-<key>`. A successor repeats an unanswered request with the branch under
which it left first, so to the next element it is a retransmission (RFC 3261 17.2.3); its own new
requests carry its own epoch and can never be taken for one that a predecessor did not write down.
"""

from typing import Final, NamedTuple

from parley.model.ids import CallId

_COOKIE: Final = "z9hG4bK-"


class RequestBranch(NamedTuple):
    """A branch read again.

    Attributes:
        epoch: of the ownership under which the request left first.
        key: name of the request within its call (`SendRequest.key`).
    """

    call_id: CallId
    epoch: int
    key: int


def request_branch(call_id: str, epoch: int, key: int) -> str:
    """Returns the branch of a request, magic cookie included."""
    return f"{_COOKIE}{call_id}-{epoch}-{key}"


def read_branch(branch: str) -> RequestBranch | None:
    """Reads what `request_branch` wrote; None for any other branch."""
    if not branch.startswith(_COOKIE):
        return None
    parts = branch[len(_COOKIE) :].rsplit("-", 2)
    if len(parts) < 3 or not parts[0]:
        return None
    epoch, key = _number(parts[1]), _number(parts[2])
    if epoch is None or key is None:
        return None
    return RequestBranch(CallId(parts[0]), epoch, key)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
