"""Settings, from the environment (`ORDERBUS_KAFKA__BOOTSTRAP_SERVERS`) or a file named by `ORDERBUS_CONFIG` (TOML).

A wrong setting stops the start with its name, what is wrong with the value, and the remedy.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

PREFIX = "ORDERBUS_"
HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
DatabaseUrl = Annotated[str, StringConstraints(pattern=r"^postgresql(\+asyncpg)?://\S+$")]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class KafkaSettings(Section):
    bootstrap_servers: str = Field(min_length=3)
    """`host:port,host:port`."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ca_file: Path | None = None
    """Who signs the brokers' certificates (PEM); the system's authorities where missing."""
    certificate_file: Path | None = None
    """Our own certificate (PEM), where the brokers ask for one."""
    key_file: Path | None = None
    partitions: int = Field(default=6, ge=1, le=1000)
    """Of topics that orderbus creates."""
    replication: int = Field(default=1, ge=1, le=9)
    """Of topics that orderbus creates: 3 in production."""
    retention: timedelta = timedelta(days=7)
    """Of event and command topics; the inbox remembers two days longer. Where you make the topics yourself, say theirs
    here, and let a segment last a day (`segment.ms`)."""


class ServiceSettings(Section):
    database_url: DatabaseUrl
    """`postgresql://user:password@host:port/database`."""
    http_host: str = "127.0.0.1"
    """The address to listen on; `0.0.0.0` in a container."""
    http_port: int = Field(default=0, ge=0, le=65535)
    """0 picks a free one."""
    public_url: str | None = None
    """How the world reaches this service's HTTP edge; `http://<host>:<port>` where missing."""
    batch: int = Field(default=300, ge=1, le=5000)
    """The most messages of one transaction."""
    operations_at_once: int = Field(default=48, ge=1, le=2000)
    """Calls to the outside in flight per worker."""
    pool: int = Field(default=8, ge=2, le=100)
    """Database connections per worker."""


class FulfillmentSettings(ServiceSettings):
    link_secret: SecretStr = SecretStr("")
    """Signs download links. Required to run fulfillment."""
    files: Path | None = None
    """Folder of downloadable files."""
    pool_recheck: timedelta = timedelta(seconds=30)
    """How often an order that waits for a code looks again by itself."""


class StripeSettings(Section):
    api_key: SecretStr = SecretStr("")
    """`sk_test_…` or `sk_live_…`. Required to run payments."""
    api_base: str = "https://api.stripe.com"
    """Stripe, or the sandbox."""
    webhook_secret: SecretStr = SecretStr("")
    """`whsec_…` of the callback endpoint. Required to run payments."""
    tolerance: int = Field(default=300, ge=1)
    """Seconds that a callback's signature stays valid."""
    requests_per_second: float = Field(default=25, gt=0)
    """Per endpoint of Stripe's API, all workers together (its documented limit is 25 in test mode, 100 in live
    mode)."""
    timeout: float = Field(default=20, gt=0)
    """Seconds per request."""


class SmtpSettings(Section):
    host: str = "127.0.0.1"
    port: int = Field(default=25, ge=1, le=65535)
    username: str | None = None
    password: SecretStr | None = None
    tls: Literal["none", "starttls", "tls"] = "none"
    connections: int = Field(default=4, ge=1, le=100)
    """Per worker."""
    timeout: float = Field(default=20, gt=0)
    """Seconds until the server must have taken sender and recipient, and again until it must have taken the mail."""


class TelemetrySettings(Section):
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    otlp_endpoint: HttpUrl | None = None
    """Where traces go, by OTLP over HTTP (`http://collector:4318`); none are made where missing."""
    trace_share: float = Field(default=1.0, gt=0, le=1)
    """Of all traces, the share that is made; by trace id, so that every service keeps the same ones."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", use_attribute_docstrings=True
    )

    kafka: KafkaSettings
    api_token: SecretStr = Field(min_length=16)
    """The bearer token of every HTTP edge."""
    checkout: ServiceSettings
    payments: ServiceSettings
    fulfillment: FulfillmentSettings
    notifications: ServiceSettings
    stripe: StripeSettings = StripeSettings()
    smtp: SmtpSettings = SmtpSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    webhooks_to_private_addresses: bool = False
    """Let webhooks and HTTP actions go to loopback and private addresses (the embedded stack does)."""

    def service(self, name: str) -> ServiceSettings:
        found = getattr(self, name)
        assert isinstance(found, ServiceSettings)
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


class WrongSettings(Exception):
    """The settings cannot be used. The text names every setting, what is wrong, and the remedy; no secret values."""


def load_settings() -> Settings:
    """Settings of this process. Raises WrongSettings naming everything that is missing or wrong at once."""
    file = os.environ.get(PREFIX + "CONFIG")
    if file and not Path(file).is_file():
        raise WrongSettings(f"{PREFIX}CONFIG: there is no file {file}")
    try:
        return Settings()
    except ValidationError as wrong:
        lines = [
            f"{PREFIX}{'__'.join(str(part) for part in e['loc']).upper()}: {e['msg']}"
            + (" (set it in the environment, or run `orderbus up`, which sets all)" if e["type"] == "missing" else "")
            for e in wrong.errors(include_url=False, include_input=False)
        ]
        raise WrongSettings("\n".join(lines)) from None
