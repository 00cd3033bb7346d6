"""Tables of the fields of a JSON schema and of all that it is made of, in Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]
FORMATS = {"date-time": "time (RFC 3339)", "duration": "duration (ISO 8601)", "uuid": "UUID"}
DOCUMENT = re.compile(r"(?<!\[)\bdocs/([\w-]+\.md)")
UNSAID: tuple[Any, ...] = (None, "", [], {}, False)
"""Defaults that a description says, or that go without saying."""


def tables(schema: Json, schemas: Json) -> Iterator[str]:
    """Lines: a table of the fields, then one under a heading for each part, in the order of their mention. `schemas`
    by name."""
    yield from fields(schema)
    shown: list[str] = []
    todo = [*_parts(schema)]
    while todo:
        name = todo.pop(0)
        part = schemas[name]
        if name not in shown and not _is_simple(part):
            shown.append(name)
            todo += _parts(part)
            yield from shape_lines(name, part)


def shape_lines(name: str, schema: Json) -> Iterator[str]:
    """The lines of a part, with its heading."""
    yield from ("", f"### {name}", "", linked(schema.get("description", "")), "")
    yield from fields(schema)


def linked(text: str) -> str:
    """One paragraph; a document that it names is a link."""
    return DOCUMENT.sub(r"[docs/\1](../\1)", " ".join(text.split()))


def fields(schema: Json) -> Iterator[str]:
    """The lines of a table."""
    properties = schema.get("properties", {})
    if not properties:
        yield "It has no fields." if "enum" not in schema else f"One of {_choice(schema['enum'])}."
        return
    yield "| field | type | required | meaning |"
    yield "|---|---|---|---|"
    for name, field in properties.items():
        required = "yes" if name in schema.get("required", ()) else ""
        cells = (f"`{name}`", type_of(field), required, linked(field.get("description", "")) + _default(field))
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _default(field: Json) -> str:
    default = field.get("default")
    return "" if default in UNSAID or isinstance(default, dict) else f" Default: `{_literal(default)}`."


def _literal(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def type_of(field: Json) -> str:
    """In words: `text, at most 200 characters`."""
    options = [each for each in field.get("anyOf", field.get("oneOf", ())) if each != {"type": "null"}]
    if options:
        return " or ".join(dict.fromkeys(map(type_of, options)))
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return "any JSON" if name == "JsonValue" else f"[{name}](#{name.lower()})"
    if "const" in field or "enum" in field:
        return _choice(field.get("enum", [field.get("const")]))
    return _plain_type(field)


def _plain_type(field: Json) -> str:
    values = field.get("additionalProperties")
    match field.get("type", "any JSON"):
        case "array":
            text = f"list of {type_of(field.get('items', {}))}{_limits(field, 'Items', '')}"
        case "object":
            text = f"object: {type_of(values)} by name" if isinstance(values, dict) else "object"
        case "string":
            text = FORMATS.get(field.get("format", "")) or f"text{_limits(field, 'Length', ' characters')}"
        case "integer":
            text = f"integer{_range(field)}"
        case other:
            text = str(other)
    return text


def _choice(values: Iterable[Any]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _limits(field: Json, what: str, unit: str) -> str:
    least, most = field.get(f"min{what}"), field.get(f"max{what}")
    if least and most:
        return f", {least:,} to {most:,}{unit}"
    if most:
        return f", at most {most:,}{unit}"
    return f", at least {least:,}{unit or ''}" if least and least > 1 else ", not empty" if least else ""


def _range(field: Json) -> str:
    least, most = field.get("minimum"), field.get("maximum", 10**9)
    if most >= 10**9:
        return f" ≥ {least}" if least is not None and least > -(10**9) else ""
    return f", {least:,} to {most:,}" if least is not None else f" ≤ {most:,}"


def _is_simple(schema: Json) -> bool:
    """A shape without fields and values, which has nothing to show."""
    return "properties" not in schema and "enum" not in schema


def _parts(schema: Any) -> Iterator[str]:
    """Names of what a schema refers to."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rpartition("/")[2]
        for value in schema.values():
            yield from _parts(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _parts(value)
