"""The public head of a call's snapshot: what others may read of a call that goes on.

The snapshot in shared state (`call:{<call_id>}`) belongs to the call manager and changes with it.
It is one msgpack map with these keys; readers ignore the rest.
"""

import msgspec
from msgspec import Struct

from parley.model.errors import InvalidValue
from parley.model.events import CallProgress
from parley.model.ids import TenantId


class LiveCall(Struct, frozen=True, kw_only=True):
    """A call that goes on.

    Attributes:
        state: the call manager's word for where the call is (`ringing`, `answered`).
        tenant_id: whose call it is.
    """

    state: str
    progress: CallProgress
    tenant_id: TenantId


_DECODER = msgspec.msgpack.Decoder(LiveCall)


def decode_live_call(snapshot: bytes) -> LiveCall:
    """Reads the public head of a snapshot.

    Raises:
        InvalidValue: the bytes are no snapshot.
    """
    try:
        return _DECODER.decode(snapshot)
    except msgspec.DecodeError as error:
        raise InvalidValue(f"not a call snapshot: {error}", error_id="bad-snapshot") from error
