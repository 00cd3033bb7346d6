"""The monitor's settings."""

from __future__ import annotations

from pydantic import Field

from shared.settings import EdgeSettings, Settings


class MonitorSection(EdgeSettings):
    hours: int = Field(default=24, ge=1, le=168)
    """For how many hours the monitor knows in which minute an order was placed."""
    orders: int = Field(default=200_000, ge=1000, le=10_000_000)
    """The maximum number of orders that the monitor keeps in memory, at about 360 bytes each. Beyond it, the oldest
    minutes are dropped."""


class MonitorSettings(Settings):
    monitor: MonitorSection = MonitorSection()
