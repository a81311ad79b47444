"""Settings of the REST gateway."""

from pydantic_settings import SettingsConfigDict

from parley.service.settings import Settings


class RestGatewaySettings(Settings):
    """Where the API listens; the environment prefix is `PARLEY_RESTGATEWAY_`.

    Attributes:
        host: IP address of the listener.
        port: TCP port; 0 picks one.
    """

    model_config = SettingsConfigDict(env_prefix="PARLEY_RESTGATEWAY_")

    host: str = "127.0.0.1"
    port: int = 8080
