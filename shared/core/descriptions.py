"""What the fields of messages mean, where a type says it for all fields that have it.

A field's docstring is its description. Without one, its type's `Means` is; a type's `Unit` is added to either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True)
class _Described:
    text: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"description": self.text, **handler(schema)}


class Means(_Described):
    """A part of an annotation: what a field of this type is, unless the field says it."""


class Unit(_Described):
    """A part of an annotation: in which unit each field of this type is."""


def describe(schema: dict[str, Any], kind: type[BaseModel]) -> None:
    """Complete the descriptions of a model's JSON schema: its `json_schema_extra`."""
    for name, field in kind.model_fields.items():
        own = _told(field.annotation)
        parts = [part for part in (*field.metadata, *own) if isinstance(part, _Described)]
        meaning = field.description or next((part.text for part in parts if isinstance(part, Means)), "")
        units = dict.fromkeys(part.text for part in (*parts, *_within(field.annotation)) if isinstance(part, Unit))
        if text := " ".join(filter(None, (meaning, *units))):
            schema["properties"][name]["description"] = " ".join(text.split())


def _told(annotation: Any) -> Iterator[object]:
    """What an annotation, or one of its alternatives, says of itself."""
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    elif type(None) in get_args(annotation):
        for alternative in get_args(annotation):
            yield from _told(alternative)


def _within(annotation: Any) -> Iterator[object]:
    """What an annotation and all its parts say."""
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    for part in get_args(annotation):
        yield from _within(part)
