"""When the export of a month is made, and which orders it has."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo


def next_month(at: datetime, zone: tzinfo) -> datetime:
    """The first moment of the month after that of `at`."""
    local = at.astimezone(zone)
    year, month = local.year + local.month // 12, local.month % 12 + 1
    return datetime(year, month, 1, tzinfo=zone).astimezone(UTC)


def month_before(start: datetime, zone: tzinfo) -> datetime:
    """The first moment of the month that ends at `start`, the first moment of another."""
    local = start.astimezone(zone)
    year, month = local.year - (local.month == 1), (local.month - 2) % 12 + 1
    return datetime(year, month, 1, tzinfo=zone).astimezone(UTC)
