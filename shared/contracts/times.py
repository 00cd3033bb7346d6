"""Times as people of a time zone read them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

_MONTHS = (
    "January February March April May June July August September October November December".split()
)  # strftime's names follow the machine's locale


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


def moment(at: datetime, time_zone: str | None = None) -> str:
    """`3 March 2026, 15:05 CET`, or `17:05 UTC+03` where the zone has no letters. In UTC without a zone, or with one
    that this machine does not know."""
    local = at.astimezone(zone_of(time_zone))
    name = local.tzname() or "UTC"
    zone = name if name.isalpha() else f"UTC{name}"
    return f"{local.day} {_MONTHS[local.month - 1]} {local.year}, {local:%H:%M} {zone}"
