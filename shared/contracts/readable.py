"""What can be read of an invalid body: it is checked, too, so that everything wrong is said at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from shared.contracts.envelope import MAX_BODY
from shared.contracts.problems import MAX_PROBLEMS
from shared.core import Message

ROUNDS = 12
"""How often the body is validated again: a field in a field that was filled in is found only then."""
FILLERS: tuple[Any, ...] = ({}, [], 0, "x", "EUR", "a@example.com", "DE", "https://example.com", False)
"""Values that stand for what cannot be read, each tried until one is of the field's type."""
Place = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Readable:
    message: Message
    """With other values in place of what is wrong: nothing may be said of those."""
    unread: tuple[str, ...]
    """The paths of those, such as `items.0.quantity`."""

    def has_read(self, *paths: str) -> bool:
        """Whether all of these were read, and all that is in them."""
        return not any(_overlap(path, other) for path in paths for other in self.unread)


def readable_part(kind: type[Message], body: bytes | None) -> Readable | None:
    """None where nothing of it can be read, or so much is wrong that a refusal cannot list it."""
    try:
        given = orjson.loads(body) if body and len(body) <= MAX_BODY else None
    except ValueError:
        return None
    if not isinstance(given, dict):
        return None
    unread: dict[Place, None] = {}
    fillers: dict[Place, int] = {}
    for _ in range(ROUNDS):
        try:
            message = kind.model_validate_json(orjson.dumps(given))
            return Readable(message, tuple(".".join(map(str, place)) for place in unread))
        except ValidationError as wrong:
            if wrong.error_count() > MAX_PROBLEMS or len(unread) > MAX_PROBLEMS:
                break
            errors = wrong.errors(include_url=False, include_input=False, include_context=False)
        except (ValueError, orjson.JSONEncodeError):
            return None
        for place in dict.fromkeys(_place(given, error["loc"]) for error in errors):
            if not place:
                return None
            if not any(place[: len(other)] == other for other in unread):
                unread[place] = None
            _replace(given, place, fillers)
    return None


def _place(given: Any, loc: Place) -> Place:
    """As far as it leads through the body: a location also has names of types and functions."""
    place: list[int | str] = []
    for index, part in enumerate(loc):
        if isinstance(given, dict) and isinstance(part, str):
            if part in given:
                given = given[part]
                place.append(part)
            elif index == len(loc) - 1 and not part.endswith("]"):
                place.append(part)  # it is missing
        elif isinstance(given, list) and isinstance(part, int) and part < len(given):
            given = given[part]
            place.append(part)
    return tuple(place)


def _replace(given: Any, place: Place, fillers: dict[Place, int]) -> None:
    """Leave it out, where that is possible; the next time put something else there."""
    for part in place[:-1]:
        given = given[part]
    name = place[-1]
    if place not in fillers and isinstance(given, dict) and name in given:
        fillers[place] = 0
        del given[name]
        return
    filler = fillers.get(place, 0)
    fillers[place] = filler + 1
    value = FILLERS[filler % len(FILLERS)]
    given[name] = value.copy() if isinstance(value, dict | list) else value


def _overlap(one: str, other: str) -> bool:
    """Whether one is the other, or in it."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")
