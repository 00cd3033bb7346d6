"""Dataclasses that are made quickly are still what dataclasses makes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.core.fast_dataclasses import fast, replace


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0
    tags: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x is negative")


@dataclass(frozen=True, slots=True)
class Marked(Point):
    colour: str = "red"


@dataclass(frozen=True)
class Loose:
    x: int


@fast
@dataclass(frozen=True, slots=True)
class Quick:
    x: int
    tags: list[str] = field(default_factory=list)


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (Point(1, 2, ("a",)), {"y": 3}),
        (Point(1, 2), {"x": 4, "tags": ("b",)}),
        (Point(1, 2), {}),
        (Marked(1, 2, (), "blue"), {"colour": "green", "x": 2}),
        (Loose(1), {"x": 2}),
        (Quick(1, ["a"]), {"x": 2}),
    ],
)
def test_a_copy_is_what_dataclasses_would_make(value: Any, changes: dict[str, Any]) -> None:
    before = dataclasses.replace(value)
    copy = replace(value, **changes)

    assert copy == dataclasses.replace(value, **changes)
    assert type(copy) is type(value)
    assert copy is not value
    assert value == before


@pytest.mark.parametrize("value", [Point(1, 2, ("a",)), Marked(1), Loose(1)])
def test_a_copy_has_the_hash_of_an_equal_one(value: Any) -> None:
    assert hash(replace(value, x=2)) == hash(dataclasses.replace(value, x=2))


def test_a_copy_is_as_frozen_as_the_first() -> None:
    copy = replace(Point(1), y=2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        copy.y = 3  # type: ignore[misc]


def test_a_copy_is_checked() -> None:
    with pytest.raises(ValueError, match="negative"):
        replace(Point(1), x=-1)


@pytest.mark.parametrize("value", [Point(1), Loose(1)])
def test_a_field_that_is_not_there_is_named(value: Any) -> None:
    with pytest.raises(TypeError, match="'z'"):
        replace(value, z=1)


def test_a_swift_class_takes_its_defaults() -> None:
    assert Quick(1).tags == []
    assert Quick(1).tags is not Quick(1).tags
    assert Quick(x=2, tags=["a"]) == Quick(2, ["a"])
