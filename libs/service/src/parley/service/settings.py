"""Settings of a process: environment only, every default runnable, refuse what is not understood.

A service subclasses `ServiceSettings` with its own `env_prefix` (`PARLEY_EDGEPROXY_`). A misspelt
key under that prefix, a malformed value or a contradiction stops the start with one sentence. A
secret may come from a file instead: `PARLEY_X_TOKEN_FILE` names the file that holds
`PARLEY_X_TOKEN`.

Kubernetes tells each pod of the services around it by variables such as
`PARLEY_RESTGATEWAY_PORT=tcp://10.0.0.7:8080`, named like settings of ours. They are told apart by
their shape and are as if they were not there.
"""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, NoReturn, Self, get_args

from pydantic import BeforeValidator, Field, SecretBytes, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from parley.service.errors import SettingsError
from parley.service.log import LEVELS

_FILE_SUFFIX = "_FILE"
_MAX_SECRET_BYTES = 64 * 1024
_LINK_KEY = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_.*)?)")
_LINK_PORT = re.compile(r"(tcp|udp|sctp)://.*", re.IGNORECASE)


class PortRange(NamedTuple):
    """Ports first to last, both included; text form `20000-29999`."""

    first: int
    last: int


def _parse_ports(value: object) -> object:
    if not isinstance(value, str):
        return value
    first, dash, last = value.partition("-")
    if not (dash and first.strip().isdecimal() and last.strip().isdecimal()):
        raise ValueError("must be two ports joined by a dash, such as 20000-29999")
    ports = PortRange(int(first), int(last))
    if not 0 < ports.first <= ports.last <= 65535:
        raise ValueError("must be an ascending range of ports between 1 and 65535")
    return ports


def _split_commas(value: object) -> object:
    if isinstance(value, str):
        return tuple(item for item in (part.strip() for part in value.split(",")) if item)
    return value


def _check_level(value: object) -> object:
    if isinstance(value, str) and value.lower() in LEVELS:
        return value.lower()
    raise ValueError(f"must be one of {', '.join(LEVELS)}")


CommaList = Annotated[tuple[str, ...], BeforeValidator(_split_commas)]
Ports = Annotated[PortRange, BeforeValidator(_parse_ports)]
LogLevel = Annotated[str, BeforeValidator(_check_level)]
Port = Annotated[int, Field(ge=0, le=65535)]
"""A port to listen on; 0 picks one."""
InstanceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$")]
"""Names an instance, stable over restarts; a host name too."""


class Settings(BaseSettings):
    """Base of all settings; read with `load`, frozen afterwards.

    Attributes:
        foreign_prefixes: keys under our own prefix that belong to someone else.
    """

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_",
        extra="forbid",
        frozen=True,
        env_ignore_empty=True,
        enable_decoding=False,
    )
    foreign_prefixes: ClassVar[tuple[str, ...]] = ("PARLEY_TEST_",)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Reads what code gives and the environment without Kubernetes' service links."""
        assert isinstance(env_settings, EnvSettingsSource)
        env_settings.env_vars = {
            key: value
            for key, value in env_settings.env_vars.items()
            if not _is_service_link(key.upper(), value or "")
        }
        return init_settings, env_settings

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Reads the environment, but for the `values` that the process decides itself.

        Raises:
            SettingsError: in one sentence, what is unknown, malformed, contradictory, or set
                although it is decided otherwise.
        """
        cls._refuse_unknown_keys()
        cls._refuse_decided_keys(values)
        given: dict[str, Any] = {**dict(cls._read_secret_files()), **values}
        try:
            return cls(**given)
        except ValidationError as error:
            raise SettingsError(cls._sentence(error)) from error

    @classmethod
    def load_or_exit(cls) -> Self:
        """Reads the environment, or ends the process with one sentence and status 2."""
        try:
            return cls.load()
        except SettingsError as error:
            refuse(error)

    @classmethod
    def own_fields(cls) -> Iterable[str]:
        """Returns the settings with a key of our own prefix, without those of other classes."""
        for name, field in cls.model_fields.items():
            kind = field.annotation
            if not (isinstance(kind, type) and issubclass(kind, Settings)):
                yield name

    @classmethod
    def keys(cls) -> Iterable[str]:
        """Names the variables that are read, of the classes within as well."""
        own = set(cls.own_fields())
        for name, field in cls.model_fields.items():
            kind = field.annotation
            if name in own:
                yield cls._key(name)
            elif isinstance(kind, type) and issubclass(kind, Settings):
                yield from kind.keys()

    @classmethod
    def _key(cls, field: str) -> str:
        return f"{cls.model_config.get('env_prefix', '')}{field}".upper()

    @classmethod
    def _secret_fields(cls) -> Iterable[str]:
        for name, field in cls.model_fields.items():
            kinds = (field.annotation, *get_args(field.annotation))
            if SecretStr in kinds or SecretBytes in kinds:
                yield name

    @classmethod
    def _refuse_unknown_keys(cls) -> None:
        prefix = cls._key("")
        known = {cls._key(name) for name in cls.own_fields()}
        known.update(cls._key(name) + _FILE_SUFFIX for name in cls._secret_fields())
        unknown = sorted(
            key
            for key, value in os.environ.items()
            if key.startswith(prefix)
            and key not in known
            and not key.startswith(cls.foreign_prefixes)
            and not _is_service_link(key, value)
        )
        if unknown:
            noun = "is not a setting" if len(unknown) == 1 else "are not settings"
            raise SettingsError(f"{', '.join(unknown)} {noun} of this service.")

    @classmethod
    def _refuse_decided_keys(cls, names: Iterable[str]) -> None:
        for key in map(cls._key, names):
            if (value := os.environ.get(key)) and not _is_service_link(key, value):
                raise SettingsError(
                    f"{key} has no effect here: settings of the whole process decide it."
                )

    @classmethod
    def _read_secret_files(cls) -> Iterable[tuple[str, str]]:
        for name in cls._secret_fields():
            key = cls._key(name)
            path = os.environ.get(key + _FILE_SUFFIX)
            if not path:
                continue
            if os.environ.get(key):
                raise SettingsError(f"{key} and {key}{_FILE_SUFFIX} are both set; set one.")
            yield name, _read_secret(key + _FILE_SUFFIX, path)

    @classmethod
    def _sentence(cls, error: ValidationError) -> str:
        return "; ".join(map(cls._describe, error.errors())) + "."

    @classmethod
    def _describe(cls, problem: Any) -> str:
        cause = problem.get("ctx", {}).get("error")
        text = str(cause) if cause is not None else str(problem["msg"])
        text = text.rstrip(".")
        place = problem["loc"]
        return f"{cls._key(str(place[0]))}: {text[:1].lower()}{text[1:]}" if place else text


class ServiceSettings(Settings):
    """What every service is told that may be a process of its own.

    Attributes:
        health_host: address of the health port; not to be reached from outside.
        health_port: of /healthz, /readyz and /metrics; 0 picks one.
        log_level: debug, info, warning, error or critical.
        drain_timeout_s: seconds that work in progress gets at the end.
    """

    health_host: str = "127.0.0.1"
    health_port: Port = 9090
    log_level: LogLevel = "info"
    drain_timeout_s: float = Field(default=30.0, ge=0)


def _is_service_link(key: str, value: str) -> bool:
    """Tells a variable by which Kubernetes describes a service of the namespace."""
    if _LINK_KEY.fullmatch(key):
        return True
    return key.endswith("_PORT") and _LINK_PORT.fullmatch(value) is not None


def refuse(error: SettingsError) -> NoReturn:
    """Ends the process with the error's sentence on stderr and status 2."""
    sys.stderr.write(f"{error}\n")
    raise SystemExit(2) from None


def _read_secret(key: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_SECRET_BYTES + 1)
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise SettingsError(f"{key}: cannot read {path}: {reason}.") from error
    if len(content) > _MAX_SECRET_BYTES:
        raise SettingsError(f"{key}: {path} is too large for a secret.")
    return text.rstrip("\r\n")
