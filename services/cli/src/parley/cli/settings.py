"""Settings of the command line."""

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from parley.service.settings import Settings


class CliSettings(Settings):
    """What commands take from the environment; the prefix is `PARLEY_CLI_`.

    Attributes:
        token: secret of the token that `parley token create` makes, 32 characters at least; a
            random one, which is printed, unless given.
    """

    model_config = SettingsConfigDict(env_prefix="PARLEY_CLI_")

    token: SecretStr | None = None
