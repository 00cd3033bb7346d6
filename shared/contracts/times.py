"""Time zones."""

from __future__ import annotations

from datetime import UTC, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones


@lru_cache(1)
def _names() -> frozenset[str]:
    """Without those that mean whatever this machine is set to."""
    return frozenset(name for name in available_timezones() if "/" in name or name == "UTC")


def is_time_zone(name: str) -> bool:
    """A name of the IANA database, such as `Europe/Berlin`."""
    return name in _names()


@lru_cache(1000)
def zone_of(name: str | None) -> tzinfo:
    """UTC without a name, or with one that this machine does not know."""
    return ZoneInfo(name) if name and is_time_zone(name) else UTC
