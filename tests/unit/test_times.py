"""Time zones: which there are."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from shared.contracts.times import is_time_zone, zone_of


@pytest.mark.parametrize(
    ("name", "zone"),
    [(None, UTC), ("Europe/Berlin", ZoneInfo("Europe/Berlin")), ("UTC", ZoneInfo("UTC")), ("Mars/Olympus", UTC)],
)
def test_the_zone_of_a_name(name: str | None, zone: object) -> None:
    assert zone_of(name) == zone


def test_time_zones_are_those_of_the_database() -> None:
    assert is_time_zone("Europe/Helsinki") and is_time_zone("UTC")
    for wrong in ("", "Berlin", "../etc/passwd", "/etc/localtime", "localtime", "Factory", "europe/berlin", "x" * 500):
        assert not is_time_zone(wrong)
