"""What rows add to sums by day: by quarters of an hour, which lie on a day in every zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.day_sums import MAX_VALUE, Adds, SumKey, expanded, quarter_of

EVENING = datetime(2026, 3, 3, 23, 50, tzinfo=UTC)


def test_figures_of_one_quarter_come_together_and_others_stay_apart() -> None:
    adds = Adds("main", "EUR")
    adds.add(EVENING, {"orders": "", "country": "FI"}, opened=1)
    adds.add(EVENING + timedelta(minutes=9), {"orders": "", "country": "FI"}, paid=1, sales=900, refunded=0)
    adds.add(EVENING + timedelta(minutes=11), {"orders": "", "country": "FI"}, paid=1)
    adds.add(None, {"orders": ""}, paid=1)

    found = adds.as_json()

    first = quarter_of(EVENING)
    about = {"orders": "", "country": "FI"}
    assert found == {
        "store": "main",
        "currency": "EUR",
        "adds": [[first, about, {"opened": 1, "paid": 1, "sales": 900}], [first + 1, about, {"paid": 1}]],
    }
    assert list(expanded(found, UTC)) == [
        (SumKey("main", "orders", date(2026, 3, 3), "", "EUR"), {"opened": 1, "paid": 1, "sales": 900}),
        (SumKey("main", "country", date(2026, 3, 3), "FI", "EUR"), {"opened": 1, "paid": 1, "sales": 900}),
        (SumKey("main", "orders", date(2026, 3, 4), "", "EUR"), {"paid": 1}),
        (SumKey("main", "country", date(2026, 3, 4), "FI", "EUR"), {"paid": 1}),
    ]


def test_what_adds_nothing_is_nothing() -> None:
    adds = Adds("main", "EUR")
    adds.add(EVENING, {"orders": ""}, refunded=0)
    assert adds.as_json() is None


def test_a_value_is_no_longer_than_an_index_can_hold() -> None:
    adds = Adds("main", "EUR")
    adds.add(EVENING, {"source": "x" * 500}, paid=1)
    found = adds.as_json()
    assert found is not None
    assert found["adds"][0][1] == {"source": "x" * MAX_VALUE}


@pytest.mark.parametrize(
    "zone", ["UTC", "Asia/Kathmandu", "Pacific/Chatham", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/St_Johns"]
)
@given(at=st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_a_quarter_lies_on_the_day_of_its_moments(zone: str, at: datetime) -> None:
    adds = Adds("main")
    adds.add(at, {"orders": ""}, paid=1)
    found = adds.as_json()
    assert found is not None
    ((key, _),) = expanded(found, ZoneInfo(zone))
    assert key.day == at.astimezone(ZoneInfo(zone)).date()


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_the_ends_of_time_have_a_day_in_every_zone(zone: str, at: datetime) -> None:
    adds = Adds("main")
    adds.add(at, {"orders": ""}, paid=1)
    found = adds.as_json()
    assert found is not None
    assert list(expanded(found, ZoneInfo(zone)))
