"""Settings of the accounting service."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from parley.service.settings import LogLevel, Settings


class AccountingSettings(Settings):
    """How CDRs are written; the environment prefix is `PARLEY_ACCOUNTING_`.

    Attributes:
        health_host: address of the health port; not to be reached from outside.
        health_port: TCP port of /healthz, /readyz and /metrics; 0 picks one.
        log_level: debug, info, warning, error or critical.
        drain_timeout_s: seconds that CDRs in progress get at the end.
        gather_s: seconds after a transaction in which CDRs are gathered for the next one.
        max_retry_s: longest pause between two tries while the database is away.
    """

    model_config = SettingsConfigDict(env_prefix="PARLEY_ACCOUNTING_")

    health_host: str = "127.0.0.1"
    health_port: int = Field(default=9090, ge=0, le=65535)
    log_level: LogLevel = "info"
    drain_timeout_s: float = Field(default=30.0, gt=0)
    gather_s: float = Field(default=0.2, ge=0, le=10)
    max_retry_s: float = Field(default=10.0, gt=0)
