"""What a state has in the database and this build does not know, carried through a decision.

A newer build may add fields to a state, at any depth. This build reads the state without them; when it saves what was
decided, whatever it did not know is still there.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

Json = Any


@dataclass(frozen=True, slots=True)
class Carried:
    """A state as it is stored, and what this build makes of it, both as JSON."""

    stored: Json
    known: Json

    def after(self, new: bytes) -> Carried | None:
        """`new`: the new state as this build writes it. Returns it with all that this build does not know; None where
        nothing of that is left."""
        known = orjson.loads(new)
        return _unless_alike(_merged(self.stored, self.known, known), known)


def carried(stored: bytes | str, known: bytes) -> Carried | None:
    """`known`: the same state as this build writes it. None where this build knows all that is stored."""
    return _unless_alike(orjson.loads(stored), orjson.loads(known))


def _unless_alike(stored: Json, known: Json) -> Carried | None:
    return None if stored == known else Carried(stored, known)


def _merged(stored: Json, before: Json, after: Json) -> Json:
    """What a decision did not change stays as it is stored; what it removed takes its unknown parts along."""
    if after == before:
        return stored
    if isinstance(stored, dict) and isinstance(before, dict) and isinstance(after, dict):
        if before.get("kind") != after.get("kind"):
            return after  # of a union: another class
        unknown = {name: value for name, value in stored.items() if name not in before and name not in after}
        known = {
            name: _merged(stored[name], before[name], value) if name in before and name in stored else value
            for name, value in after.items()
        }
        return known | unknown
    if isinstance(stored, list) and isinstance(before, list) and isinstance(after, list) and len(stored) == len(before):
        found = _matches(before, after)
        return [
            value if place is None else _merged(stored[place], before[place], value)
            for value, place in zip(after, found, strict=True)
        ]
    return after


def _matches(before: Sequence[Json], after: Sequence[Json]) -> list[int | None]:
    """For each new element the place of the one that it was: by its identity, or by position where it has none."""
    places: defaultdict[bytes, deque[int]] = defaultdict(deque)
    for place, element in enumerate(before):
        places[_identity(element, place)].append(place)
    found: list[int | None] = []
    for place, element in enumerate(after):
        same = places[_identity(element, place)]
        found.append(same.popleft() if same else None)
    return found


def _identity(element: Json, place: int) -> bytes:
    """The first field of a part that repeats says which one it is (`id`, `number`, `item`)."""
    while isinstance(element, dict) and element:
        element = next(iter(element.items()))
        if not isinstance(element[1], dict):
            return orjson.dumps(element)
        element = element[1]
    return b"%d" % place
