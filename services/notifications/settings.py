"""Notifications' settings: its own section, the mail server's, and the pay page's."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from shared.pay_links import PayPageSettings
from shared.setting_types import Secret
from shared.settings import Section, ServiceSettings, Settings


class SmtpSettings(Section):
    host: str = "127.0.0.1"
    port: int = Field(default=25, ge=1, le=65535)
    username: str | None = None
    password: Secret | None = Field(default=None, validate_default=True)
    tls: Literal["none", "starttls", "tls"] = Field(default="none", validate_default=True)
    """(a password is sent only with TLS)"""
    connections: int = Field(default=4, ge=1, le=100)
    """The maximum number of connections, per worker."""
    timeout: float = Field(default=20, gt=0)
    """Seconds for the server to accept sender and recipient, and again for it to accept the email."""

    @field_validator("password")
    @classmethod
    def _with_a_username(cls, password: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
        if (password is None) != (others.data.get("username") is None):
            raise ValueError("username and password belong together: set both, or neither")
        return password

    @field_validator("tls")
    @classmethod
    def _no_password_in_the_clear(cls, tls: str, others: ValidationInfo) -> str:
        if tls == "none" and others.data.get("password") is not None:
            raise ValueError("a password is not sent without TLS: use starttls or tls, or leave out the password")
        return tls


class NotificationsSection(ServiceSettings):
    feed_secret: Secret = Field(
        min_length=16,
        examples=["at-least-16-characters"],
        json_schema_extra={"remedy": "make one with `openssl rand -hex 32`"},
    )
    """Signs the tokens with which customers read their own feed; at least 16 characters."""
    streams_per_feed: int = Field(default=20, ge=1, le=2500)
    """The maximum number of open streams of one feed, per worker."""


class NotificationsSettings(Settings):
    notifications: NotificationsSection
    smtp: SmtpSettings = SmtpSettings()
    pay_page: PayPageSettings = PayPageSettings()
