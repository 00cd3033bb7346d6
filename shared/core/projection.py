"""Projections: from messages to rows of read models. The second kind of core: it decides nothing, and knows no state.

    status record (compacted topic) ──► function ──► the row of its key, and rows that belong to it
    any message   (event topic)     ──► function ──► a row to append

What comes twice, late or out of order changes nothing: a row is replaced by a higher revision only, and appended once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from shared.core.fast_dataclasses import fast
from shared.core.messages import Event, Topic
from shared.core.struct import Struct

E = TypeVar("E", bound=Event)


class Row(Struct):
    """Base of a row of a read model. Its table is in `storage`; its fields are the columns that it writes."""


@fast
@dataclass(frozen=True, slots=True)
class About:
    """What is known of a message besides its contents."""

    key: str
    """What it is about: of status records, the order id."""
    id: UUID
    """The same each time that it is read."""
    source: str
    type: str
    version: int
    at: datetime
    """When it was written, by its source's clock."""
    store: str = ""
    sequence: int = 0
    """Counts the messages of a key from one source; 0 where the source does not count."""
    actor: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    topic: str = ""
    body: bytes = b""
    """The contents as they were sent."""


@fast
@dataclass(frozen=True, slots=True)
class Shown:
    """What a status record shows of its key: one row, and any number of rows that belong to it."""

    row: Row
    parts: Sequence[Row] = ()
    """They take the place of all that an earlier record of the key left in their tables."""


Shows = Callable[[E, About], Shown]
Keeps = Callable[[bytes, About], Row]
"""From the body as it was sent: what is kept need not be understood."""


class Projection:
    """`projection = Projection()`, then `@projection.shows(…)` and `@projection.keeps(…)` on pure functions."""

    def __init__(self) -> None:
        self.shown: dict[type[Event], Callable[[Any, About], Shown]] = {}
        self.blank: dict[type[Event], Callable[[str], Row]] = {}
        self.kept: dict[Topic, Keeps] = {}

    def shows(self, record: type[E], *, blank: Callable[[str], Row]) -> Callable[[Shows[E]], Shows[E]]:
        """For a status record: of a key's records only the last counts. `blank`: the row of a key, given its id, whose
        record was erased (a record without a value); its revision is 0."""

        def register(function: Shows[E]) -> Shows[E]:
            if not record.topic.compacted:
                raise TypeError(f"{record.topic.name} is not compacted: {record.__name__} is no status record")
            if record in self.shown:
                raise TypeError(f"{record.__name__} is shown twice")
            self.shown[record], self.blank[record] = function, blank
            return function

        return register

    def keeps(self, *topics: Topic) -> Callable[[Keeps], Keeps]:
        """For every message of these topics, known or not."""

        def register(function: Keeps) -> Keeps:
            self.kept.update(dict.fromkeys(topics, function))
            return function

        return register

    def topics(self) -> list[Topic]:
        """All that it reads."""
        return list(dict.fromkeys([*(record.topic for record in self.shown), *self.kept]))
