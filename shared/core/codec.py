"""States, operations, outcomes, timers and reports as JSON, by their dataclass definitions (pydantic does the work)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter

_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    adapter = _adapters.get(kind)
    if adapter is None:
        adapter = _adapters[kind] = TypeAdapter(kind)
    return adapter


def dump(value: Any) -> bytes:
    """A dataclass as JSON, without the fields that are None."""
    return _adapter(type(value)).dump_json(value, exclude_none=True)


def load(kind: type[Any], data: bytes | str) -> Any:
    """The dataclass of JSON that `dump` made. Raises pydantic's ValidationError."""
    return _adapter(kind).validate_json(data)


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
