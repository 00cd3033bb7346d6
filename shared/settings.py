"""What all services share of their settings, and how they are loaded: from the environment
(`ORDERBUS_KAFKA__BOOTSTRAP_SERVERS`) or from a TOML file that `ORDERBUS_CONFIG` names. Each service adds its own in
`services/<name>/settings.py`.

An invalid setting stops startup; the error names it and the fix.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from shared.errors import ReportedError
from shared.postgres_url import PostgresUrl

PREFIX = "ORDERBUS_"
HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
EVERYTHING = "*"
"""All stores, all permissions."""


def database_url(given: SecretStr) -> SecretStr:
    PostgresUrl.parse(given.get_secret_value())
    return given


DatabaseUrl = Annotated[SecretStr, AfterValidator(database_url)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class ApiClientSettings(Section):
    """A caller of the HTTP APIs."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$")
    """The actor of what it does, as in an order's timeline."""
    token_sha256: tuple[Sha256, ...] = Field(min_length=1, max_length=2)
    """SHA-256 of its bearer token, in hexadecimal; of two while one replaces the other."""
    stores: tuple[str, ...] = Field(min_length=1)
    """The stores that it may act for; `*`: all."""
    permissions: tuple[str, ...] = Field(min_length=1)
    """What it may do: wire types of commands and `<what>.read`. `*` stands for any characters."""

    @field_validator("name")
    @classmethod
    def _no_other_actor(cls, name: str) -> str:
        if name in ("customer", "system") or name.startswith("provider:"):
            raise ValueError("is the name of another actor")
        return name


class KafkaSettings(Section):
    bootstrap_servers: str = Field(min_length=3, examples=["kafka.example:9092"])
    """`host:port,host:port`."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ca_file: Path | None = None
    """The certificate authorities of the brokers (PEM). Default: those of the system."""
    certificate_file: Path | None = None
    """The client certificate (PEM), if the brokers require one."""
    key_file: Path | None = None
    """The client certificate's private key (PEM)."""
    partitions: int = Field(default=6, ge=1, le=1000)
    """The number of partitions of topics that orderbus creates."""
    replication: int = Field(default=1, ge=1, le=9)
    """The replication factor of topics that orderbus creates. Use 3 in production."""
    min_insync_replicas: int | None = Field(default=None, ge=1, le=9)
    """How many brokers must have a record before it counts as written, in topics that orderbus creates. Default: one
    less than `replication`."""
    retention: timedelta = timedelta(days=7)
    """The retention of event and command topics; the inbox keeps message ids two days longer. If you create the topics
    yourself, set their retention here, and let a segment last one day (`segment.ms`)."""

    @field_validator("min_insync_replicas")
    @classmethod
    def _within_replication(cls, given: int | None, info: ValidationInfo) -> int | None:
        if given is not None and given > (replication := info.data.get("replication", given)):
            raise ValueError(f"must be at most {PREFIX}KAFKA__REPLICATION, which is {replication}")
        return given

    def in_sync(self) -> int:
        return self.min_insync_replicas or max(1, self.replication - 1)


class HttpSettings(Section):
    connections: int = Field(default=4000, ge=10, le=100_000)
    """The maximum number of open connections, per worker."""
    requests_per_second: int = Field(default=1000, ge=1)
    """The maximum rate of requests of one API client, or of one address on public routes, per worker."""
    body_seconds: float = Field(default=10, gt=0, le=300)
    """Seconds within which a request's body must arrive."""
    body_bytes: int = Field(default=16_000_000, ge=4_000_000)
    """The maximum size of all bodies in memory together, per worker. One client has at most a quarter of it."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks of your reverse proxies, as JSON (`["10.0.0.0/8"]`), whose `X-Forwarded-For` names the caller."""

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            ip_network(proxy)
        return proxies


class TelemetrySettings(Section):
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    otlp_endpoint: HttpUrl | None = None
    """Where traces are sent, by OTLP over HTTP (`http://collector:4318`). Default: no traces."""
    trace_share: float = Field(default=1.0, gt=0, le=1)
    """The share of traces to record, chosen by trace id, so that all services record the same ones."""


class EdgeSettings(Section):
    """Where the HTTP API of a process is."""

    http_host: str = "127.0.0.1"
    """The address to listen on; `0.0.0.0` in a container."""
    http_port: int = Field(default=0, ge=0, le=65535)
    """The port to listen on. 0: any free port."""
    public_url: str | None = None
    """The URL under which others reach this service. Default: `http://<host>:<port>`."""


class ServiceSettings(EdgeSettings):
    """The section that every service has under its own name."""

    database_url: DatabaseUrl = Field(examples=["postgresql://orderbus@postgres.example/orderbus"])
    """`postgresql://user:password@host:port/database`, with special characters %-encoded. TLS: see Deploy, 2."""
    batch: int = Field(default=300, ge=1, le=5000)
    """The maximum number of messages per transaction."""
    operations_at_once: int = Field(default=48, ge=1, le=2000)
    """The maximum number of concurrent calls to outside systems, per worker."""
    pool: int = Field(default=8, ge=2, le=100)
    """The maximum number of database connections for messages, per worker."""
    read_pool: int = Field(default=2, ge=1, le=50)
    """The maximum number of database connections for reads over HTTP, per worker. A read may take 5 seconds."""


class Settings(BaseSettings):
    """What all services share. A service's own class adds the section of its name (a ServiceSettings), and sections of
    the outside systems that it speaks to."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", use_attribute_docstrings=True
    )

    kafka: KafkaSettings
    api_token: SecretStr | None = Field(default=None, min_length=16)
    """The bearer token of a client that may do everything, named `staff`; at least 16 characters. Commands send it."""
    api_clients: tuple[ApiClientSettings, ...] = ()
    """Other clients of the HTTP APIs, as JSON; see `docs/security.md`."""
    telemetry: TelemetrySettings = TelemetrySettings()
    http: HttpSettings = HttpSettings()
    webhooks_to_private_addresses: bool = False
    """Allow webhooks and course platforms at loopback and private addresses, as in the embedded stack."""

    @field_validator("api_clients")
    @classmethod
    def _each_once(cls, clients: tuple[ApiClientSettings, ...]) -> tuple[ApiClientSettings, ...]:
        for what in ([client.name for client in clients], [token for c in clients for token in c.token_sha256]):
            if len(set(what)) < len(what):
                raise ValueError("two clients have the same name or token")
        return clients

    def service(self, name: str) -> ServiceSettings:
        found = getattr(self, name)
        assert isinstance(found, ServiceSettings)
        return found

    def edge(self, name: str) -> EdgeSettings:
        """Of a service, or of a process without a database."""
        found = getattr(self, name)
        assert isinstance(found, EdgeSettings)
        return found

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = os.environ.get(PREFIX + "CONFIG")
        toml = (TomlConfigSettingsSource(settings_cls, Path(file)),) if file else ()
        return (init_settings, env_settings, *toml)


S = TypeVar("S", bound=Settings)


class WrongSettings(ReportedError):
    """The settings are invalid. The text names every such setting, its problem and the fix, but no secret values."""

    exit_code = 2


def load_settings(kind: type[S]) -> S:
    """The settings of this process. Raises WrongSettings with everything that is missing or invalid."""
    file = os.environ.get(PREFIX + "CONFIG")
    if file and not Path(file).is_file():
        raise WrongSettings(f"{PREFIX}CONFIG: file not found: {file}")
    try:
        return kind()
    except ValidationError as wrong:
        raise WrongSettings("\n".join([*_problems(kind, wrong), REMEDY])) from None
    except SettingsError as wrong:
        raise WrongSettings(f"{_unreadable(kind, str(wrong))}\n{REMEDY}") from None


def example_settings(kind: type[S]) -> S:
    """Settings made of the required fields' examples. They reach no other system, but show what a service declares."""
    given: dict[str, Any] = {}
    for path, field in fields_of(kind):
        if field.is_required():
            assert field.examples, f"{name_of(path)} has no example"
            section = given
            for part in path[:-1]:
                section = section.setdefault(part, {})
            section[path[-1]] = field.examples[0]
    return kind.model_validate(given)


def name_of(path: Sequence[str | int]) -> str:
    """A setting's name in the environment."""
    return PREFIX + "__".join(map(str, path)).upper()


def fields_of(model: type[BaseModel], *above: str) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Path and field of every setting, in the order in which they are declared."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields_of(field.annotation, *above, name)
        else:
            yield (*above, name), field


def _problems(kind: type[Settings], wrong: ValidationError) -> Iterator[str]:
    """One line for each problem. A missing section is reported by each setting that it requires, a section that is no
    section by its own name."""
    fields = dict(fields_of(kind))
    for error in wrong.errors(include_url=False, include_input=False):
        place = tuple(map(str, error["loc"]))
        within = [path for path, field in fields.items() if path[: len(place)] == place and field.is_required()]
        for path in within or [place]:
            yield f"{name_of(path)}: {_said(error)}{_remedy(fields.get(path))}"


def _said(error: Any) -> str:
    match error["type"], error.get("ctx", {}).get("min_length"):
        case ("missing", _) | ("too_short", 1):
            return "is missing"
        case "too_short", length:
            return f"needs at least {length} characters"
        case "extra_forbidden", _:
            return "unknown setting"
        case "value_error", _:
            return str(error["ctx"]["error"])
    return str(error["msg"])


def _remedy(field: FieldInfo | None) -> str:
    """How to fix a setting, where its field says so (`remedy`)."""
    extra = field.json_schema_extra if field else None
    said = extra.get("remedy", "") if isinstance(extra, dict) else ""
    return f" ({said})" if said else ""


def _unreadable(kind: type[Settings], error: str) -> str:
    """Of a variable that should hold JSON and does not: a list, or a section as one value (`ORDERBUS_KAFKA=localhost`).
    pydantic-settings names it in words only."""
    named = re.search(r'field "(\w+)"', error)
    if not named or named[1] not in kind.model_fields:
        return "A setting is invalid"
    name, annotation = name_of((named[1],)), kind.model_fields[named[1]].annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"{name}: is no single value; its settings are named {name}__…"
    return f"{name}: is not JSON"


REMEDY = (
    f"Set it in the environment, or in the file that {PREFIX}CONFIG names. `orderbus up` sets everything for the "
    "embedded stack."
)
