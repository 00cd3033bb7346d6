from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.staff.cursors import Place, WrongCursor, read_cursor, write_cursor

VALUES = st.one_of(st.text(max_size=60), st.integers(-(2**53), 2**53), st.datetimes(timezones=st.just(UTC)))
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
