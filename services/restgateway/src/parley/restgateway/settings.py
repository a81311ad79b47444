"""Settings of the REST gateway."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from parley.service.settings import LogLevel, Settings


class RestGatewaySettings(Settings):
    """Where the API listens; the environment prefix is `PARLEY_RESTGATEWAY_`.

    Attributes:
        host: IP address of the listener.
        port: TCP port; 0 picks one.
        health_host: address of the health port; not to be reached from outside.
        health_port: TCP port of /healthz, /readyz and /metrics; 0 picks one.
        drain_timeout_s: seconds that requests under way get at the end.
        log_level: debug, info, warning, error or critical.
    """

    model_config = SettingsConfigDict(env_prefix="PARLEY_RESTGATEWAY_")

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    health_host: str = "127.0.0.1"
    health_port: int = Field(9093, ge=0, le=65535)
    drain_timeout_s: float = Field(default=30.0, gt=0)
    log_level: LogLevel = "info"
