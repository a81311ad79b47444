"""Settings of the WebSocket gateway."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from parley.service.settings import CommaList, Port, ServiceSettings


class WsiGatewaySettings(ServiceSettings):
    """Where events are served and what a client may use; the prefix is `PARLEY_WSIGATEWAY_`.

    Attributes:
        host: IP address of the listener.
        port: TCP port; 0 picks one.
        drain_timeout_s: seconds that clients get to close at the end.
        lame_duck_s: seconds of the drain in which clients are still served, and told to connect
            elsewhere, while /readyz says no already.
        origins: origins of web pages that may connect besides this host's own,
            https://console.example for one, or * for any; none unless given.
        max_connections: authenticated connections; further ones are told to try again later.
        max_connections_per_tenant: the same by tokens of one tenant.
        max_waiting: connections that have not authenticated yet; the longest waiting is closed
            for a new one.
        max_waiting_per_source: the same of one IP address, of IPv6 a /64; and connections that
            are no WebSockets yet.
        queue_events: events that may wait for a slow client before it is disconnected.
        auth_timeout_s: seconds within which a client must have shown its token.
        recheck_s: how often an open connection's token is verified again.
        close_timeout_s: seconds that a client gets to take the close frame.
        max_message_bytes: largest message from a client.
        max_messages_per_s: messages from a client in one second.
        max_subscriptions: pairs of topic and tenant per connection.
    """

    model_config = SettingsConfigDict(env_prefix="PARLEY_WSIGATEWAY_")

    host: str = "127.0.0.1"
    port: Port = 8081
    drain_timeout_s: float = Field(default=10.0, ge=0)
    lame_duck_s: float = Field(default=3.0, ge=0, le=600)
    origins: CommaList = ()
    max_connections: int = Field(default=1000, ge=1)
    max_connections_per_tenant: int = Field(default=250, ge=1)
    max_waiting: int = Field(default=200, ge=1)
    max_waiting_per_source: int = Field(default=50, ge=1)
    queue_events: int = Field(default=1000, ge=1)
    auth_timeout_s: float = Field(default=10.0, gt=0)
    recheck_s: float = Field(default=60.0, gt=0)
    close_timeout_s: float = Field(default=5.0, gt=0)
    max_message_bytes: int = Field(default=4096, ge=128, le=1024 * 1024)
    max_messages_per_s: int = Field(default=20, ge=1)
    max_subscriptions: int = Field(default=1000, ge=1)
