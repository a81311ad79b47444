"""Settings of the call manager, from the environment (`PARLEY_CALLMANAGER_*`)."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from parley.service.inside import InsideSettings
from parley.service.settings import CommaList, InstanceName, Port, ServiceSettings


class CallManagerSettings(ServiceSettings):
    """What an operator may tune; every default is runnable on one machine.

    Attributes:
        name: of this instance, stable over restarts; its instance id is the name and a random
            incarnation, its host name in a `LocalNetwork` is the name itself.
        zone: where it runs, for discovery.
        inside: how it proves itself to edges, relays and its like (`PARLEY_INSIDE_*`).
        host: local address of the listener for edges; must not be reachable from outside.
        advertised_host: what edges call us by when that is not `host`.
        port: of that listener; 0 picks one. In one process with the edges there is no listener.
        media_relays: `host:port` of media relays that do not register in discovery.
        max_calls: calls it owns at most; further ones get 503 and the edge picks another.
        max_branches: phones that one call rings at most.
        max_duration_s: seconds from answer after which a call is ended.
        load_interval_s: seconds between load reports.
        lease_s: seconds after which the others take an instance that does not renew its lease for
            dead; it is renewed three times as often.
        drain_timeout_s: seconds that calls get to end or to find another owner at the end.
        hang_up_s: share of the drain time-out kept for hanging up what is still up, seconds.
    """

    model_config = SettingsConfigDict(env_prefix="PARLEY_CALLMANAGER_")

    name: InstanceName = "callmanager"
    zone: str = ""
    inside: InsideSettings = Field(default_factory=InsideSettings.load, repr=False)
    host: str = "127.0.0.1"
    advertised_host: str = ""
    port: Port = 5080
    health_port: Port = 9092
    media_relays: CommaList = ()
    max_calls: int = Field(20_000, ge=1)
    max_branches: int = Field(20, ge=1, le=50)
    max_duration_s: float = Field(14_400.0, gt=0)
    load_interval_s: float = Field(1.0, gt=0)
    lease_s: float = Field(1.0, ge=0.1, le=10)
    hang_up_s: float = Field(3.0, gt=0)
