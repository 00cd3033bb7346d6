"""What all services share of their settings, and how they are loaded: from the environment
(`ORDERBUS_KAFKA__BOOTSTRAP_SERVERS`) or from a TOML file that `ORDERBUS_CONFIG` names. Each service adds its own in
`services/<name>/settings.py`.

An invalid setting stops startup; the error names it and the fix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from shared.api_clients import ApiClientSettings, checked
from shared.contracts.problem_texts import text_of
from shared.errors import ReportedError
from shared.setting_names import misspelt, nearest
from shared.setting_sources import FILE, FromEnvironment, FromFile, config_file, file_problem, given_names
from shared.setting_types import DatabaseUrl, DataKeys, HttpUrl, Secret, Servers, Token, is_secret

PREFIX = "ORDERBUS_"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class KafkaSettings(Section):
    bootstrap_servers: Servers = Field(min_length=3, examples=["kafka.example:9092"])
    """`host:port,host:port`."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: Secret | None = Field(default=None, validate_default=True)
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
    retention: timedelta = Field(default=timedelta(days=7), ge=timedelta(days=1), le=timedelta(days=3650))
    """The retention of event and command topics, at least a day; the inbox keeps message ids two days longer. If you
    create the topics yourself, set their retention here, and let a segment last one day (`segment.ms`)."""

    keep_sent: timedelta = Field(default=timedelta(days=1), ge=timedelta(0))
    """How long the databases keep facts that Kafka has, about 20 KB per order, for `orderbus republish`: as long as a
    service may be down. At most `retention`; 0 keeps none."""

    @field_validator("keep_sent")
    @classmethod
    def _known_to_inboxes(cls, given: timedelta, info: ValidationInfo) -> timedelta:
        if given > (retention := info.data.get("retention", given)):
            raise ValueError(f"must be at most {PREFIX}KAFKA__RETENTION, which is {retention}")
        return given

    @field_validator("sasl_password")
    @classmethod
    def _credentials(cls, password: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
        protocol, username = others.data.get("security_protocol"), others.data.get("sasl_username")
        if protocol in ("SASL_PLAINTEXT", "SASL_SSL") and (username is None or password is None):
            raise ValueError(f"{PREFIX}KAFKA__SECURITY_PROTOCOL is {protocol}: set SASL_USERNAME and SASL_PASSWORD")
        if protocol in ("PLAINTEXT", "SSL") and not username is password is None:
            raise ValueError(
                f"is not used, for {PREFIX}KAFKA__SECURITY_PROTOCOL is {protocol}: set SASL_SSL or SASL_PLAINTEXT "
                "there, or leave out SASL_USERNAME and SASL_PASSWORD"
            )
        return password

    @field_validator("ca_file", "certificate_file", "key_file")
    @classmethod
    def _only_with_tls(cls, file: Path | None, others: ValidationInfo) -> Path | None:
        protocol = others.data.get("security_protocol", "SSL")
        if file is not None and "SSL" not in protocol:
            raise ValueError(f"is not used, for {PREFIX}KAFKA__SECURITY_PROTOCOL is {protocol}: set SSL or SASL_SSL")
        if file is not None and others.field_name == "key_file" and others.data.get("certificate_file") is None:
            raise ValueError(f"is the key of a certificate: set {PREFIX}KAFKA__CERTIFICATE_FILE, too")
        return file

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
    address_share: float = Field(default=0.25, gt=0, le=1)
    """The share of them that one address (IPv6: /64) may have. 1 behind a proxy that is not among `TRUSTED_PROXIES`."""
    requests_per_second: int = Field(default=1000, ge=1)
    """The maximum rate of requests of one API client, or of one address (IPv6: /64) on public routes, per worker."""
    body_seconds: float = Field(default=10, gt=0, le=300)
    """Seconds within which a request's body must arrive."""
    body_bytes: int = Field(default=16_000_000, ge=4_000_000)
    """The maximum size of all bodies of API clients in memory, per worker. One client has at most a quarter of it."""
    public_body_bytes: int = Field(default=8_000_000, ge=4_000_000)
    """The same for the bodies of everyone else: of customers, and on public routes."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks of your reverse proxies, as JSON (`["10.0.0.0/8"]`), whose `X-Forwarded-For` names the caller."""

    drain_seconds: float = Field(default=0, ge=0, le=60)
    """Seconds for which a stopping worker still answers, and `/ready` says 503, so that load balancers leave it out."""

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
    public_url: HttpUrl | None = None
    """The URL in links to this service. Default: `http://<host>:<port>`."""
    internal_url: HttpUrl | None = None
    """Where commands reach this service. They send it their token. Default: `http://<host>:<port>`."""


class ServiceSettings(EdgeSettings):
    """The section that every service has under its own name."""

    database_url: DatabaseUrl = Field(examples=["postgresql://orderbus@postgres.example/orderbus"])
    """`postgresql://user:password@host:port/database`, special characters %-encoded. TLS: see docs/operations.md."""
    batch: int = Field(default=300, ge=1, le=5000)
    """The maximum number of messages per transaction."""
    operations_at_once: int = Field(default=48, ge=1, le=2000)
    """The maximum number of concurrent calls to outside systems, per worker."""
    pool: int = Field(default=8, ge=2, le=100)
    """The maximum number of database connections for messages, per worker."""
    read_pool: int = Field(default=2, ge=1, le=50)
    """The maximum number of database connections for reads over HTTP, per worker. A read may take 5 seconds."""

    def connections(self) -> int:
        """That a worker opens: those of its pools, and one for the relay or for the wait to be it."""
        return self.pool + self.read_pool + 1


class Settings(BaseSettings):
    """What all services share. A service's own class adds the section of its name (a ServiceSettings), and sections of
    the outside systems that it speaks to."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", use_attribute_docstrings=True
    )

    kafka: KafkaSettings
    api_token: Token | None = Field(default=None, min_length=16)
    """The bearer token of a client that may do everything, named `staff`; at least 16 characters. Commands send it."""
    api_clients: tuple[ApiClientSettings, ...] = ()
    """Other clients of the HTTP APIs, as JSON; see `docs/security.md`."""
    assertion_keys: DataKeys | None = Field(
        default=None, json_schema_extra={"remedy": "make one with `openssl rand -hex 32`"}
    )
    """Sign what staff sends to the other services for its callers: one key of at least 32 characters, or several
    separated by commas, the same for all services. The first signs, all of them are right."""
    telemetry: TelemetrySettings = TelemetrySettings()
    http: HttpSettings = HttpSettings()
    webhooks_to_private_addresses: bool = False
    """Allow webhooks and course platforms at loopback and private addresses, as in the embedded stack."""

    @field_validator("api_clients", mode="wrap")
    @classmethod
    def _all_clients(
        cls, given: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> tuple[ApiClientSettings, ...]:
        return checked(given, validate, info.data.get("api_token"))

    def problem(self) -> str:
        """What a worker with these settings would do wrong, and the remedy; empty where they are right together."""
        return ""

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
        file = config_file()
        toml = (FromFile(settings_cls, file),) if file else ()
        return (init_settings, FromEnvironment(settings_cls), *toml)


S = TypeVar("S", bound=Settings)


class WrongSettings(ReportedError):
    """The settings are invalid. The text names every such setting, its problem and the fix, but no secret values."""

    exit_code = 2


def load_settings(kind: type[S], system: type[Settings]) -> S:
    """The settings of this process. `system`: those of all processes, whose names are known, too. Raises WrongSettings
    with everything that is missing, invalid or misspelt."""
    if (file := config_file()) and (problem := file_problem(file)):
        raise WrongSettings(f"{PREFIX}CONFIG: {problem}")
    problems: dict[str, str] = {}
    settings = None
    try:
        settings = kind()
    except ValidationError as wrong:
        problems |= _problems(kind, wrong)
    for name, near in misspelt(given_names(kind), names_of(system)).items():
        problems.setdefault(PREFIX + name, f"{MISSPELT} {PREFIX}{near}?")
    if problems or settings is None:
        raise WrongSettings("\n".join([*(f"{name}: {said}" for name, said in problems.items()), *_remedies(problems)]))
    return settings


def names_of(kind: type[Settings]) -> set[str]:
    """Of all settings and sections, in upper case and without the prefix."""
    names = {"CONFIG", *(name.upper() for name in kind.model_fields)}
    for path, field in fields_of(kind):
        name = name_of(path).removeprefix(PREFIX)
        names |= {name, f"{name}{FILE}".upper()} if is_secret(field) else {name}
    return names


def unread(kind: type[Settings], foreign: Sequence[str] = ()) -> list[str]:
    """What is given in the form of a setting, `ORDERBUS_…__…`, and is none of `kind`: it belongs to another build or
    another program. `foreign`: how names begin that are known not to be settings."""
    known = names_of(kind)
    others = {name for name in given_names(kind) if "__" in name and name not in known}
    return sorted(PREFIX + name for name in others if not (PREFIX + name).startswith(tuple(foreign)))


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


def _problems(kind: type[Settings], wrong: ValidationError) -> dict[str, str]:
    """What is wrong with which setting. A missing section is reported by each setting that it requires, a section that
    is no section by its own name."""
    fields, problems = dict(fields_of(kind)), dict[str, str]()
    for error in wrong.errors(include_url=False, include_input=False):
        place = tuple(map(str, error["loc"]))
        within = [path for path, field in fields.items() if path[: len(place)] == place and field.is_required()]
        for path in (within or [place]) if error["type"] == "missing" else [place]:
            said = f"{_said(kind, path, error)}{_remedy(fields.get(path))}"
            problems[name_of(path)] = "; ".join(filter(None, [problems.get(name_of(path)), said]))
    return problems


def _said(kind: type[Settings], path: Sequence[str], error: Any) -> str:
    match error["type"], error.get("ctx", {}).get("min_length"):
        case ("missing", _) | ("too_short", 1):
            said = MISSING
        case "too_short", length:
            said = f"needs at least {length} characters"
        case "extra_forbidden", _:
            near = nearest(name_of(path).removeprefix(PREFIX), names_of(kind))
            said = f"{MISSPELT} {PREFIX}{near}?" if near else UNKNOWN
        case "value_error", _:
            said = str(error["ctx"]["error"])
        case "tuple_type", _:
            said = "is not JSON, or is no list"
        case (("model_type" | "model_attributes_type"), _):
            said = f"is no single value; its settings are named {name_of(path)}__…"
        case _:
            said = text_of(error["type"], error["msg"], error.get("ctx", {}))
    return said


def _remedy(field: FieldInfo | None) -> str:
    """How to fix a setting, where its field says so (`remedy`)."""
    extra = field.json_schema_extra if field else None
    said = extra.get("remedy", "") if isinstance(extra, dict) else ""
    return f" ({said})" if said else ""


MISSING, UNKNOWN = "is missing", "unknown setting"
MISSPELT = f"{UNKNOWN}: did you mean"
_PLACES = f"where it is set: in the environment, or in the file that {PREFIX}CONFIG names."
_REMEDIES = {
    MISSING: f"Set what is missing, in the environment or in the file that {PREFIX}CONFIG names. `orderbus up` sets "
    "everything for the embedded stack.",
    MISSPELT: f"Correct a misspelt name {_PLACES}",
    UNKNOWN: f"Remove an unknown setting, or correct its name, {_PLACES}",
}
_WRONG_VALUE = f"Correct a wrong value {_PLACES}"


def _remedies(problems: Mapping[str, str]) -> list[str]:
    """What to do, once for each kind of problem."""
    kinds = [next((kind for kind in _REMEDIES if said.startswith(kind)), "") for said in problems.values()]
    return [remedy for kind, remedy in [*_REMEDIES.items(), ("", _WRONG_VALUE)] if kind in kinds]
