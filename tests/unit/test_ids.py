"""The ids of messages and rows: what they tell, how they sort, which texts are ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from shared.core.ids import (
    NIL,
    RANDOM_BITS,
    derived_id,
    hashed_id,
    lowest_id,
    message_id,
    plain_message_id,
    random_id,
    time_of,
)

times = st.datetimes(datetime(2000, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC))


@given(times, st.integers(0, 2**RANDOM_BITS - 1))
def test_a_random_id_tells_its_time(at: datetime, random: int) -> None:
    id = random_id((at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1), random)
    assert id.version == 7
    told = time_of(id)
    inexact = timedelta(microseconds=31)  # seconds of the year 9999 as a float
    assert told is not None and abs(told - at) <= timedelta(milliseconds=1) + inexact


@given(times, st.uuids())
def test_the_lowest_id_of_a_moment_bounds_the_ids_from_then_on(at: datetime, source: UUID) -> None:
    assert lowest_id(at) <= derived_id(source, 0, at)
    assert derived_id(source, 1023, at - timedelta(milliseconds=1)) < lowest_id(at)
    assert lowest_id(at) > NIL


def test_a_hash_tells_no_time() -> None:
    assert time_of(hashed_id("an Idempotency-Key")) is None
    assert time_of(UUID("ffffffff-ffff-7000-8000-000000000000")) is None, "beyond the year 9999"


@given(st.one_of(st.uuids(), times.map(lambda at: derived_id(NIL, 1, at)), st.text().map(hashed_id)))
def test_the_quick_reader_of_ids_agrees_with_the_thorough_one(id: UUID) -> None:
    try:
        thorough: UUID | None = message_id(str(id))
    except ValueError:
        thorough = None
    assert plain_message_id(str(id)) == thorough
    assert plain_message_id(str(id).upper()) in (None, thorough)
