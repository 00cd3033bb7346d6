from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.staff.cursors import Place, WrongCursor, read_cursor, write_cursor

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)
TIMES = st.datetimes(datetime(1900, 1, 2), datetime(2999, 12, 30), timezones=st.just(UTC))
VALUES = st.one_of(TEXTS, st.integers(-(2**53), 2**53), TIMES)
PLACES = st.lists(VALUES, min_size=1, max_size=4).map(tuple)


@given(PLACES)
def test_a_place_is_read_as_it_was_written(place: Place) -> None:
    cursor = write_cursor("orders date desc", place)
    assert read_cursor("orders date desc", cursor, [type(value) for value in place]) == place
    assert cursor.isascii() and not set(cursor) & set("+/=& ")


@given(PLACES, st.data())
def test_one_that_was_changed_is_refused(place: Place, data: st.DataObject) -> None:
    cursor = write_cursor("list", place)
    at = data.draw(st.integers(0, len(cursor) - 2))  # bits of the last character may mean nothing
    other = data.draw(st.sampled_from("AaBb09-_").filter(lambda sign: sign != cursor[at]))
    with pytest.raises(WrongCursor):
        read_cursor("list", cursor[:at] + other + cursor[at + 1 :], [type(value) for value in place])


@given(st.text(max_size=100))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(WrongCursor):
        read_cursor("list", text, (str, str))


def test_one_of_another_list_or_shape_is_refused() -> None:
    cursor = write_cursor("orders total desc", (7, "o-1"))
    for kind, shape in (
        ("orders total asc", (int, str)),
        ("orders total desc", (int,)),
        ("orders total desc", (str, str)),
    ):
        with pytest.raises(WrongCursor):
            read_cursor(kind, cursor, shape)


@pytest.mark.parametrize(
    ("value", "type"),
    [("0001-01-01T00:00:00+23:59", datetime), ("2026-01-01T00:00:00", datetime), (2**63, int), ("a\x00b", str)],
)
def test_what_the_database_would_not_take_is_refused(value: object, type: type) -> None:
    with pytest.raises(WrongCursor):
        read_cursor("list", write_cursor("list", (value,)), (type,))
