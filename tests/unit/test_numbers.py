"""The numbers of a key's events, as the check keeps them."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import pytest

from deploy.check.numbers import Numbers

Seen = tuple[int, int] | tuple[int, int, int]
"""Number, id, and partition if it is not the first one."""
CASES: list[tuple[list[Seen], list[int], list[int]]] = [
    ([(1, 1), (2, 2), (3, 3)], [1, 2, 3], []),
    ([(4, 4), (5, 5)], [4, 5], []),
    ([(1, 1), (2, 2), (1, 1), (2, 2)], [1, 2], []),
    ([(1, 1), (2, 2), (2, 9)], [1, 2], [2]),
    ([(1, 1), (3, 3), (2, 2)], [1, 3, 2], []),
    ([(1, 1), (3, 3), (3, 9), (1, 1)], [1, 3], [3]),
    ([(7, 7, 1), (1, 1), (2, 2), (6, 6)], [1, 2, 6, 7], []),
    ([(1, 1), (2, 2), (3, 3, 1), (4, 4, 1)], [1, 2, 3, 4], []),
    ([(7, 7, 1), (1, 1), (8, 8, 1), (2, 2)], [1, 2, 7, 8], []),
    ([(7, 7, 1), (2, 2), (1, 1), (8, 8, 1)], [7, 2, 1, 8], []),
    ([(7, 7, 1), (2, 2), (7, 7), (7, 9)], [2, 7], [7]),
]


def numbers_of(events: Iterable[Seen]) -> Numbers:
    numbers = Numbers()
    for number, id, *partition in events:
        numbers.add(number, UUID(int=id), *partition)
    return numbers


@pytest.mark.parametrize(("events", "given", "twice"), CASES)
def test_numbers_are_kept_in_the_order_of_their_partition(
    events: list[Seen], given: list[int], twice: list[int]
) -> None:
    numbers = numbers_of(events)
    assert (list(numbers.given), numbers.twice) == (given, twice)
    again = Numbers.load(*numbers.dump())
    assert (list(again.given), again.twice) == (given, twice)


@pytest.mark.parametrize(("events", "given", "twice"), CASES)
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_what_is_read_in_two_parts_is_as_if_it_were_read_at_once(
    events: list[Seen], given: list[int], twice: list[int], cut: int
) -> None:
    first, rest = numbers_of(events[:cut]), numbers_of(events[cut:])
    first = Numbers.load(*first.dump())
    first.extend(rest)
    assert (list(first.given), first.twice) == (given, twice)
