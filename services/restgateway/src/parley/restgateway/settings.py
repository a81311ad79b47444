"""Settings of the REST gateway."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from parley.service.settings import CommaList, Port, ServiceSettings


class RestGatewaySettings(ServiceSettings):
    """Where the API listens; the environment prefix is `PARLEY_RESTGATEWAY_`.

    Attributes:
        host: IP address of the listener.
        port: TCP port; 0 picks one.
        drain_timeout_s: seconds that requests under way get at the end.
        lame_duck_s: seconds of the drain in which requests are still served while /readyz says no
            already, for load balancers to hear of it.
        max_body_bytes: largest request body.
        max_connections: open connections; further ones take the place of those that wait.
        max_source_strangers: of those, the ones from one address, of IPv6 a /64, on which no valid
            token was shown yet. A proxy before the API is one address: then as many as there are
            connections.
        request_timeout_s: seconds that a request may take, its response included.
        cors_origins: origins of web pages that may use the API, https://console.example for one,
            or * for any; none unless given.
        events_url: URL of the event stream, shown at `/`.
        health_url: URL of the health port, shown at `/`.
    """

    model_config = SettingsConfigDict(env_prefix="PARLEY_RESTGATEWAY_")

    host: str = "127.0.0.1"
    port: Port = 8080
    health_port: Port = 9093
    lame_duck_s: float = Field(default=3.0, ge=0, le=600)
    max_body_bytes: int = Field(default=64 * 1024, ge=1024, le=16 * 1024 * 1024)
    max_connections: int = Field(default=1000, ge=1)
    max_source_strangers: int = Field(default=200, ge=1)
    request_timeout_s: float = Field(default=30.0, gt=0)
    cors_origins: CommaList = ()
    events_url: str | None = None
    health_url: str | None = None
