"""Times as people of a time zone read them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.contracts.times import is_time_zone, moment

MARCH = datetime(2026, 3, 3, 23, 5, tzinfo=UTC)
JULY = datetime(2026, 7, 3, 14, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "zone", "text"),
    [
        (MARCH, None, "3 March 2026, 23:05 UTC"),
        (MARCH, "Europe/Berlin", "4 March 2026, 00:05 CET"),
        (JULY, "Europe/Berlin", "3 July 2026, 16:05 CEST"),
        (JULY, "Europe/Istanbul", "3 July 2026, 17:05 UTC+03"),
        (JULY, "Mars/Olympus", "3 July 2026, 14:05 UTC"),
    ],
)
def test_a_time_is_that_of_the_zone(at: datetime, zone: str | None, text: str) -> None:
    assert moment(at, zone) == text


def test_time_zones_are_those_of_the_database() -> None:
    assert is_time_zone("Europe/Helsinki") and is_time_zone("UTC")
    for wrong in ("", "Berlin", "../etc/passwd", "/etc/localtime", "localtime", "Factory", "europe/berlin", "x" * 500):
        assert not is_time_zone(wrong)
