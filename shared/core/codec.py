"""States, operations, outcomes, timers and reports as JSON, by their dataclass definitions (pydantic does the work)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import blake2b
from operator import not_
from typing import Any

import orjson
from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError, SchemaSerializer

_FIELD = re.compile(r"field_name='([^']*)'")


class WrongType(TypeError):
    """A field holds what its type does not allow. Says which one, not what it holds."""

    def __init__(self, kind: type[Any], error: str) -> None:
        fields = ", ".join(dict.fromkeys(_FIELD.findall(error)))
        super().__init__(f"a {kind.__qualname__} has a value of the wrong type{f': {fields}' if fields else ''}")


_adapters: dict[type[Any], TypeAdapter[Any]] = {}
_shapes: dict[type[Any], int] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    adapter = _adapters.get(kind)
    if adapter is None:
        adapter = _adapters[kind] = TypeAdapter(kind)
    return adapter


def dump(value: Any) -> bytes:
    """A dataclass as JSON, without the fields that are None. Raises WrongType: what is written must be readable."""
    # What an adapter adds to its serializer and its validator takes as long as they take for a small message.
    serializer: Any = _adapter(type(value)).serializer
    return written(serializer, value)


def dump_state(value: Any) -> bytes:
    """The same for what is stored, also without the fields whose default is 0, False, empty text or an empty tuple, and
    that hold it: a third of a new order, which PostgreSQL writes in three quarters of the time. `load` gives the
    default, so it must never become another one."""
    kind: Any = type(value)
    return written(_state_serializer(kind), value)


_wrong_type_raises: object = None
"""The filter of warnings that raises what pydantic says of wrong types."""


def written(serializer: SchemaSerializer, value: Any) -> bytes:
    """JSON without the fields that are None. Raises WrongType.

    Of a wrong type pydantic warns. To ask it for an error instead (`warnings="error"`) takes 0.8 µs, twice as long as
    writing a small operation, so the warning is made an error, by a filter that comes before all others.
    """
    if not warnings.filters or warnings.filters[0] is not _wrong_type_raises:
        _raise_wrong_types()
    try:
        return serializer.to_json(value, exclude_none=True, warnings=True)
    except (UserWarning, PydanticSerializationError) as wrong:
        raise WrongType(type(value), str(wrong)) from None


def _raise_wrong_types() -> None:
    global _wrong_type_raises  # noqa: PLW0603  # as the process has one list of filters
    warnings.filterwarnings("error", "Pydantic serializer warnings", UserWarning)
    _wrong_type_raises = warnings.filters[0]


@cache
def _state_serializer(kind: type[Any]) -> SchemaSerializer:
    schema: Any = _adapter(kind).core_schema
    return SchemaSerializer(_without_defaults(schema))


def _without_defaults(schema: Any) -> Any:
    """A schema whose dataclasses are written without fields that hold such a default."""
    if isinstance(schema, list | tuple):
        return type(schema)(map(_without_defaults, schema))
    if not isinstance(schema, dict):
        return schema
    inner = {name: _without_defaults(part) for name, part in schema.items() if name != "metadata"}
    if schema.get("type") == "dataclass-field" and _has_empty_default(schema["schema"]):
        inner["serialization_exclude_if"] = not_  # in C: a function of Python would take longer than writing the field
    return inner


_EMPTY: Mapping[str, object] = {"bool": False, "int": 0, "str": "", "tuple": ()}
"""By pydantic's name of the type. Of these, nothing but the default itself is false."""


def _has_empty_default(schema: Any) -> bool:
    if schema.get("type") != "default" or "default" not in schema:
        return False
    default, kind = schema["default"], schema["schema"]["type"]
    return kind in _EMPTY and type(default) is type(_EMPTY[kind]) and default == _EMPTY[kind]


def load(kind: type[Any], data: bytes | str) -> Any:
    """The dataclass of JSON that `dump` made, by this build or another: fields that this one does not know are ignored,
    also in parts of commands, which name them as errors. Raises pydantic's ValidationError."""
    return _adapter(kind).validator.validate_json(data, extra="ignore")


def shape_of(kind: type[Any]) -> int:
    """A fingerprint of all that JSON of this class can contain: 63 bits, never 0. A build whose class has the same
    knows all that is there."""
    shape = _shapes.get(kind)
    if shape is None:
        schema = _without_words(_adapter(kind).json_schema(mode="serialization"))
        text = orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)
        shape = _shapes[kind] = int.from_bytes(blake2b(text, digest_size=8).digest()) >> 1 or 1
    return shape


def _without_words(schema: Any) -> Any:
    """Without what only people read."""
    if isinstance(schema, list):
        return [_without_words(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _without_words(part) for name, part in schema.items() if not _is_word(name, part)}


def _is_word(name: str, part: Any) -> bool:
    """A property may be named like a keyword: its schema is no text."""
    return name in ("description", "title") and isinstance(part, str)


class TypeRegistry:
    """Classes by name, for what is stored and comes back: operations, outcomes, timers, reports."""

    def __init__(self, kinds: Iterable[type[Any]]) -> None:
        self._kinds: dict[str, type[Any]] = {}
        for kind in kinds:
            name = kind.__qualname__
            if self._kinds.setdefault(name, kind) is not kind:
                raise TypeError(f"two classes are named {name}")
            _adapter(kind)

    def __getitem__(self, name: str) -> type[Any]:
        return self._kinds[name]

    def load(self, name: str, data: bytes | str) -> Any:
        """Raises LookupError for a name that this version of the service does not know."""
        if name not in self._kinds:
            raise LookupError(f"{name} is not known to this version of the service")
        return load(self._kinds[name], data)
