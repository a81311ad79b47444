"""What a cluster consists of: the one list of services, their ports and what they need.

Everything that installs Parley as many processes reads it: the local supervisor, and the check of
the Helm chart.
"""

from enum import IntEnum
from typing import Final

from msgspec import Struct

from parley.backing.factory import Port


class Stage(IntEnum):
    """Order of the start: a stage begins when all of the one before are ready."""

    FIRST = 0
    CALLS = 1
    EDGE = 2


class ServiceSpec(Struct, frozen=True, kw_only=True):
    """One service.

    Attributes:
        service: package `parley.<service>`, run as a module; settings `PARLEY_<SERVICE>_*`.
        stage: when it starts.
        stops: order of the stop, lowest first: those that hang up calls need the others.
        ports: TCP ports of each instance, by the name of their setting.
        shared_ports: TCP (and for SIP, UDP) ports that all instances listen on together.
        is_named: has the settings `name` and `zone` and appears in discovery.
        uses: backing ports that its process names, and thus opens.
        fixed: settings that a cluster needs to have, by name.
    """

    service: str
    stage: Stage = Stage.FIRST
    stops: int
    ports: tuple[str, ...]
    shared_ports: tuple[str, ...] = ()
    is_named: bool = False
    uses: Port
    fixed: tuple[tuple[str, str], ...] = ()

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        return f"parley.{self.service}"

    @property
    def has_listener(self) -> bool:
        """Whether it listens for others than the operator, thus has the setting `host`."""
        return bool(self.shared_ports) or self.ports != (HEALTH,)

    def key(self, setting: str) -> str:
        """The environment variable of a setting."""
        return f"PARLEY_{self.service}_{setting}".upper()


HEALTH: Final = "health_port"
"""Every service answers `/healthz`, `/readyz` and `/metrics` there."""
HEALTH_HOST: Final = "health_host"
"""Its address, apart from those that others than the operator reach."""
_CALLS: Final = Port.DATABASE | Port.STATE | Port.DISCOVERY | Port.BUS

SERVICES: Final = (
    ServiceSpec(
        service="accounting",
        stops=3,
        ports=(HEALTH,),
        uses=Port.DATABASE | Port.BUS,
    ),
    ServiceSpec(
        service="mediarelay",
        stops=2,
        ports=("grpc_port", HEALTH),
        is_named=True,
        uses=Port.STATE | Port.DISCOVERY,
        fixed=(("announce", "true"),),
    ),
    ServiceSpec(
        service="restgateway",
        stops=2,
        ports=("port", HEALTH),
        uses=Port.DATABASE | Port.STATE | Port.BUS,
        # Nobody balances load here.
        fixed=(("lame_duck_s", "0"),),
    ),
    ServiceSpec(
        service="wsigateway",
        stops=2,
        ports=("port", HEALTH),
        uses=Port.DATABASE | Port.BUS,
        # Nobody balances load here.
        fixed=(("lame_duck_s", "0"),),
    ),
    ServiceSpec(
        service="callmanager",
        stage=Stage.CALLS,
        stops=0,
        ports=("port", HEALTH),
        is_named=True,
        uses=_CALLS,
    ),
    ServiceSpec(
        service="edgeproxy",
        stage=Stage.EDGE,
        stops=1,
        ports=("inside_port", HEALTH),
        shared_ports=("udp_port", "tcp_port", "tls_port"),
        is_named=True,
        uses=_CALLS,
        fixed=(("shared_address", "true"),),
    ),
)
