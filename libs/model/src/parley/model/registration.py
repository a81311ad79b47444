"""Registrations: where an AOR can be reached now (RFC 3261 10, RFC 3327, RFC 5626)."""

from typing import Final

from msgspec import Struct, field

from parley.model.ids import InstanceId

DEFAULT_Q: Final = 1.0


class Binding(Struct, frozen=True, kw_only=True):
    """One contact of one AOR.

    Attributes:
        aor: address of record, `sip:1001@tenant.example`.
        contact: the Contact URI as the phone wrote it; the Request-URI to reach it.
        path: Path values, topmost first; the Route to reach it (RFC 3327).
        expires_at: Unix seconds.
        instance_id: `+sip.instance` (RFC 5626): one phone, with `reg_id` one of its flows.
        call_id: Call-ID header of the REGISTER, with `cseq` the order of its refreshes.
        edge: the edge proxy that holds the flow.
        source: IP address the REGISTER came from.
        q: preference among the contacts of an AOR, 0 to 1 (RFC 3261 20.10).
    """

    aor: str
    contact: str
    path: list[str] = field(default_factory=list)
    expires_at: float
    instance_id: str | None = None
    reg_id: int | None = None
    call_id: str
    cseq: int
    user_agent: str = ""
    edge: InstanceId
    source: str
    q: float = DEFAULT_Q

    @property
    def identity(self) -> tuple[str, str | int | None]:
        """What no two bindings of an AOR share: of a phone that says who it is, instance and flow.

        Else contact and source: behind NAT, phones at two places may well write one contact.
        """
        if self.instance_id is not None:
            return self.instance_id, self.reg_id
        return self.contact, self.source
