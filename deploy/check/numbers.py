"""The numbers that a service gave to its events of one key, in little memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from uuid import UUID

import orjson

from shared.core.ids import last_64_bits

ID = "Q"
"""Of an event's id, 64 bits are kept."""


class Numbers:
    """As a rule they follow each other without a gap in one partition: then only the first is kept, and all others only
    in `_odd`. Between partitions there is no order: a key moves to another one when partitions are added."""

    __slots__ = ("_first", "_highest", "_ids", "_odd", "_partition", "_swapped", "_twice")

    def __init__(self) -> None:
        self._first = 0
        self._partition = 0
        self._ids = array(ID)
        self._odd: dict[int, tuple[int, int]] | None = None
        """By number: id and partition."""
        self._highest: dict[int, int] | None = None
        """By partition, where `_odd` is."""
        self._swapped = False
        self._twice: set[int] | None = None  # of most streams there are none, and there are many streams

    def add(self, number: int, event: UUID, partition: int = 0) -> None:
        """What follows on the topic. A repetition of an event changes nothing."""
        self._add(number, last_64_bits(event), partition)

    def _add(self, number: int, id: int, partition: int) -> None:
        if self._odd is None:
            if not self._ids:
                self._first, self._partition = number, partition
            following = self._first + len(self._ids)
            if number == following and partition == self._partition:
                self._ids.append(id)
                return
            if self._first <= number < following:
                if self._ids[number - self._first] != id:
                    self._add_twice([number])
                return
            self._odd = {self._first + place: (known, self._partition) for place, known in enumerate(self._ids)}
            self._highest = {self._partition: following - 1}
        known = self._odd.get(number)
        if known is None:
            assert self._highest is not None
            self._odd[number] = (id, partition)
            self._ids.append(id)
            highest = self._highest.get(partition, number)
            self._swapped |= number < highest
            self._highest[partition] = max(number, highest)
        elif known[0] != id:
            self._add_twice([number])

    @property
    def given(self) -> Sequence[int]:
        """Each once: in their order, or in the topic's if some were swapped in one partition."""
        if self._odd is None:
            return range(self._first, self._first + len(self._ids))
        return list(self._odd) if self._swapped else sorted(self._odd)

    @property
    def twice(self) -> list[int]:
        """Numbers that two events have."""
        return sorted(self._twice or ())

    def extend(self, later: Numbers) -> None:
        """Add what was read later."""
        for number, id, partition in later._events():
            self._add(number, id, partition)
        self._add_twice(later.twice)

    def _add_twice(self, numbers: Sequence[int]) -> None:
        if numbers:
            self._twice = {*(self._twice or ()), *numbers}

    def _events(self) -> Iterator[tuple[int, int, int]]:
        if self._odd is None:
            yield from ((self._first + place, id, self._partition) for place, id in enumerate(self._ids))
        else:
            yield from ((number, id, partition) for number, (id, partition) in self._odd.items())

    def dump(self) -> tuple[int, int, bytes, bytes | None]:
        """First number, partition, ids, and what is out of the ordinary."""
        odd = None
        if self._odd is not None or self._twice:
            places = None if self._odd is None else [(number, place) for number, (_, place) in self._odd.items()]
            odd = orjson.dumps([places, self.twice, self._swapped])
        return self._first, self._partition, self._ids.tobytes(), odd

    @staticmethod
    def load(first: int, partition: int, ids: bytes, odd: bytes | None) -> Numbers:
        numbers = Numbers()
        numbers._first, numbers._partition = first, partition
        numbers._ids.frombytes(ids)
        if odd is not None:
            places, twice, numbers._swapped = orjson.loads(odd)
            numbers._add_twice(twice)
            if places is not None:
                numbers._odd, numbers._highest = {}, {}
                for (number, place), id in zip(places, numbers._ids, strict=True):
                    numbers._odd[number] = (id, place)
                    numbers._highest[place] = max(number, numbers._highest.get(place, number))
        return numbers
