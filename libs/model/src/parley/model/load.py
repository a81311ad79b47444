"""The load that a call manager publishes, by which edges choose (power of two choices)."""

from msgspec import Struct

from parley.model.ids import InstanceId


class Load(Struct, frozen=True, kw_only=True):
    """One call manager's report; a report older than a few seconds counts as a dead instance.

    Attributes:
        address: where it takes SIP from edges: transport, host, port.
        calls: calls it owns now.
        cpu: share of one core in use, 0 to 1.
        at: Unix seconds of the report.
        draining: it finishes its calls and takes no new ones.
    """

    instance: InstanceId
    address: tuple[str, str, int]
    calls: int
    cpu: float
    at: float
    draining: bool = False
