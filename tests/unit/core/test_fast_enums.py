"""Enums whose values are read quickly are still what `enum` makes."""

from __future__ import annotations

import enum
import types

from pydantic import TypeAdapter

from shared.contracts.values import DeliveryStatus, OrderStatus
from shared.core.fast_enums import StrEnum


class Colour(StrEnum):
    RED = "red"
    DARK_BLUE = "dark blue"


def test_members_are_texts_with_a_value_and_a_name() -> None:
    assert (Colour.RED.value, Colour.RED.name, str(Colour.RED), Colour("red")) == ("red", "RED", "red", Colour.RED)
    assert isinstance(Colour.RED, enum.StrEnum)
    assert [colour.value for colour in Colour] == ["red", "dark blue"]
    assert {Colour.DARK_BLUE: 1} == {"dark blue": 1}


def test_they_are_written_and_read_as_before() -> None:
    adapter = TypeAdapter(Colour)
    assert adapter.dump_json(Colour.DARK_BLUE) == b'"dark blue"'
    assert adapter.validate_json(b'"red"') is Colour.RED
    assert adapter.json_schema() == {"enum": ["red", "dark blue"], "title": "Colour", "type": "string"}


def test_the_value_is_read_without_python() -> None:
    for kind in (Colour, OrderStatus, DeliveryStatus):
        assert type(kind.__dict__.get("value", kind.__mro__[1].__dict__["value"])) is property
        assert not isinstance(kind.__mro__[1].__dict__["value"].fget, types.FunctionType)
