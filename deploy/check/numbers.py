"""The numbers that a service gave to its events of one key, in the order of the topic, in little memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from uuid import UUID

import orjson

from shared.core.ids import last_64_bits

ID = "Q"
"""Of an event's id, 64 bits are kept."""


class Numbers:
    """As a rule they follow each other without a gap: then only the first is kept, and all others only in `_given`."""

    __slots__ = ("_first", "_given", "_ids", "_twice")

    def __init__(self) -> None:
        self._first = 0
        self._ids = array(ID)
        self._given: list[int] | None = None
        self._twice: set[int] | None = None  # of most streams there are none, and there are many streams

    def add(self, number: int, event: UUID) -> None:
        """A repetition of an event changes nothing."""
        ids, id = self._ids, last_64_bits(event)
        if self._given is None:
            if not ids:
                self._first = number
            following = self._first + len(ids)
            if number == following:
                ids.append(id)
                return
            if self._first <= number < following:
                if ids[number - self._first] != id:
                    self._add_twice([number])
                return
            self._given = list(range(self._first, following))
        if number not in self._given:
            self._given.append(number)
            ids.append(id)
        elif ids[self._given.index(number)] != id:
            self._add_twice([number])

    @property
    def given(self) -> Sequence[int]:
        """In the order of the topic, each once."""
        return range(self._first, self._first + len(self._ids)) if self._given is None else self._given

    @property
    def twice(self) -> list[int]:
        """Numbers that two events have."""
        return sorted(self._twice or ())

    def extend(self, later: Numbers) -> None:
        """Add what follows on the topic."""
        for number, id in later._events():
            self.add(number, UUID(int=id))
        self._add_twice(later.twice)

    def _add_twice(self, numbers: Sequence[int]) -> None:
        if numbers:
            self._twice = {*(self._twice or ()), *numbers}

    def _events(self) -> Iterator[tuple[int, int]]:
        return zip(self.given, self._ids, strict=True)

    def dump(self) -> tuple[int, bytes, bytes | None]:
        """First number, ids, and what is out of the ordinary."""
        odd = orjson.dumps([self._given, self.twice]) if self._given is not None or self._twice else None
        return self._first, self._ids.tobytes(), odd

    @staticmethod
    def load(first: int, ids: bytes, odd: bytes | None) -> Numbers:
        numbers = Numbers()
        numbers._first = first
        numbers._ids.frombytes(ids)
        if odd is not None:
            numbers._given, twice = orjson.loads(odd)
            numbers._add_twice(twice)
        return numbers
