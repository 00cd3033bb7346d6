"""What the fields of messages mean.

A field's docstring is its description. Without one, its type's `Means` is; a type's `Unit` is added to either.
Docstrings are read when a schema is asked for: read at the import of each model, they were a fifth of a worker's start.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
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


def describe(schema: dict[str, Any], kind: type[BaseModel], fields_of: type[BaseModel] | None = None) -> None:
    """Complete the descriptions of a model's JSON schema: its `json_schema_extra`. `fields_of`: the model whose fields
    it has, where it is made of another's."""
    said = _docstrings(fields_of or kind)
    for name, field in kind.model_fields.items():
        own = _told(field.annotation)
        parts = [part for part in (*field.metadata, *own) if isinstance(part, _Described)]
        meaning = field.description or said.get(name) or next(iter(_meanings(parts)), "")
        units = dict.fromkeys(part.text for part in (*parts, *_within(field.annotation)) if isinstance(part, Unit))
        if text := " ".join(filter(None, (meaning, *units))):
            schema["properties"][name]["description"] = " ".join(text.split())


def _meanings(parts: list[_Described]) -> Iterator[str]:
    return (part.text for part in parts if isinstance(part, Means))


@cache
def _docstrings(kind: type[BaseModel]) -> Mapping[str, str]:
    """Those of a model's fields, by name; what it says of an inherited field counts."""
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        if owner is not BaseModel and issubclass(owner, BaseModel):
            found |= _own_docstrings(owner)
    return found


@cache
def _own_docstrings(kind: type[BaseModel]) -> Mapping[str, str]:
    """Of a class whose source is not there, none."""
    try:
        source = textwrap.dedent(inspect.getsource(kind))
    except (OSError, TypeError):
        return {}
    found, name = dict[str, str](), ""
    for node in ast.parse(source).body[0].body:  # type: ignore[attr-defined]  # a class's
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)):
                continue
            case ast.Expr(value=ast.Constant(value=str() as text)) if name:
                found[name] = inspect.cleandoc(text)
        name = ""
    return found


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
