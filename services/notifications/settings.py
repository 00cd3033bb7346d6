"""Notifications' settings: its own section, and the mail server's."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from shared.settings import Section, ServiceSettings, Settings


class SmtpSettings(Section):
    host: str = "127.0.0.1"
    port: int = Field(default=25, ge=1, le=65535)
    username: str | None = None
    password: SecretStr | None = None
    tls: Literal["none", "starttls", "tls"] = "none"
    connections: int = Field(default=4, ge=1, le=100)
    """The maximum number of connections, per worker."""
    timeout: float = Field(default=20, gt=0)
    """Seconds for the server to accept sender and recipient, and again for it to accept the email."""


class NotificationsSettings(Settings):
    notifications: ServiceSettings
    smtp: SmtpSettings = SmtpSettings()
