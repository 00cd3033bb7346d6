"""Many things in few messages, each of which fits into a record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from pydantic import BaseModel

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=BaseModel)
MOST_BYTES = 800_000
"""Of the things in one message, which may have 1,000,000."""


def portions(things: Iterable[T], size_of: Callable[[T], int], most: int = MOST_BYTES) -> Iterator[tuple[T, ...]]:
    """In their order. Together at most `most` in size; a thing that is larger is alone."""
    portion: list[T] = []
    size = 0
    for thing in things:
        own = size_of(thing)
        if portion and size + own > most:
            yield tuple(portion)
            portion, size = [], 0
        portion.append(thing)
        size += own
    if portion:
        yield tuple(portion)


def in_messages(things: Iterable[ModelT]) -> Iterator[tuple[ModelT, ...]]:
    """Parts of messages, by their JSON."""
    return portions(things, json_size)


def json_size(model: BaseModel) -> int:
    """Bytes, with a comma."""
    return len(model.__pydantic_serializer__.to_json(model)) + 1
