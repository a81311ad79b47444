"""Settings of the accounting service."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from parley.service.settings import ServiceSettings


class AccountingSettings(ServiceSettings):
    """How CDRs are written; the environment prefix is `PARLEY_ACCOUNTING_`.

    Attributes:
        drain_timeout_s: seconds that CDRs in progress get at the end.
        gather_s: seconds after a transaction in which CDRs are gathered for the next one.
        cdr_retention_days: CDRs of calls that ended longer ago are deleted; they stay for ever
            unless given.
        max_retry_s: longest pause between two tries while the database is away.
    """

    model_config = SettingsConfigDict(env_prefix="PARLEY_ACCOUNTING_")

    gather_s: float = Field(default=0.2, ge=0, le=10)
    cdr_retention_days: int | None = Field(default=None, ge=1, le=36500)
    max_retry_s: float = Field(default=10.0, gt=0)
