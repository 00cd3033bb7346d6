"""The monitor's settings."""

from __future__ import annotations

from pydantic import Field

from shared.settings import EdgeSettings, Settings


class MonitorSection(EdgeSettings):
    hours: int = Field(default=24, ge=1, le=168)
    """For how many hours the monitor knows the figures of each minute."""
    orders: int = Field(default=200_000, ge=1000, le=10_000_000)
    """The maximum number of orders that the monitor keeps in memory, at about 700 bytes each with their payments, and
    2,200 more in the minutes in which it looks for patterns. Beyond it, the oldest minutes are dropped."""
    unusual_minutes: int = Field(default=60, ge=5, le=1440)
    """In how many minutes it counts what one address, email address or IP address does in a store."""
    unusual_orders: int = Field(default=10, ge=0, le=10_000)
    """So many orders from one of them are an alert; 0: never."""
    unusual_cards: int = Field(default=4, ge=0, le=10_000)
    """So many different cards from one of them are an alert; 0: never."""
    unusual_declines: int = Field(default=6, ge=0, le=10_000)
    """So many declined attempts from one of them are an alert; 0: never."""


class MonitorSettings(Settings):
    monitor: MonitorSection = MonitorSection()
