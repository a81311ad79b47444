"""The load that a media relay publishes, by which call managers choose."""

from typing import Final

from msgspec import Struct

from parley.model.ids import InstanceId

RELAY_SERVICE: Final = "mediarelay"
"""Relays' name in discovery; the address of an instance is its gRPC `host:port`."""


class RelayLoad(Struct, frozen=True, kw_only=True):
    """One relay's report.

    Attributes:
        address: gRPC `host:port`, as in discovery.
        sessions: sessions it holds now.
        capacity: sessions of one bridged stream that its ports, descriptors and threads suffice
            for.
        zone: where it runs.
        at: Unix seconds of the report.
        draining: it takes no new session, as one that ends or has lost all its threads.
    """

    instance: InstanceId
    address: str
    sessions: int
    capacity: int
    zone: str = ""
    at: float
    draining: bool = False
