"""Frozen dataclasses that are made by the thousand a second.

A frozen dataclass sets each field through `object.__setattr__`: with a dozen fields, making one takes three times as
long as an ordinary one, which was a fifth of a worker's CPU time per message. Below `@fast` a class stays frozen for
the type checker, which everything here has to pass; at run time it is an ordinary one.

`replace` is that of `dataclasses` without its way through `__init__` and one keyword argument per field: for the 40
fields of an order it takes a twentieth of the time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")


def fast(kind: type[T]) -> type[T]:
    """Give a class that `@dataclass(frozen=True, slots=True)` made the `__init__` of an ordinary dataclass."""
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]  # the decorator below made it a dataclass
    ordinary: Any = dataclasses.make_dataclass(
        kind.__name__,
        [
            (field.name, field.type, dataclasses.field(default=field.default, default_factory=field.default_factory))
            for field in fields
        ],
    )
    changed: Any = kind
    del changed.__setattr__, changed.__delattr__
    changed.__init__ = ordinary.__init__
    return kind


if TYPE_CHECKING:
    from dataclasses import replace as replace  # noqa: PLC0414  # changes are checked by the fields' types
else:

    def replace(value: T, /, **changes: Any) -> T:
        """A copy of a dataclass with some fields changed. Raises TypeError for a field that it has not."""
        copy = _copier(type(value))
        return copy(value, changes) if copy else dataclasses.replace(value, **changes)


@cache
def _copier(kind: type[Any]) -> Callable[[Any, dict[str, Any]], Any] | None:
    """A function written for one class, as dataclasses writes `__init__`: it fills an object of an ordinary class with
    the same slots, which then becomes one of `kind`. None where that cannot be (slots of a base, no slots)."""
    names = [field.name for field in dataclasses.fields(kind) if field.init]
    if names != list(kind.__dict__.get("__slots__", ())):
        return None
    lines = [
        "def copy(value, changes):",
        "    new = create(ordinary)",
        *(f"    new.{name} = value.{name}" for name in names),
        "    for name, changed in changes.items():",
        "        if name not in names:",
        "            raise TypeError(f'{kind.__qualname__} has no field {name!r}')",
        "        setattr(new, name, changed)",
        "    new.__class__ = kind",
        "    new.__post_init__()" if hasattr(kind, "__post_init__") else "",
        "    return new",
    ]
    ordinary = type(kind.__name__, (), {"__slots__": names})
    space: dict[str, Any] = {"create": object.__new__, "ordinary": ordinary, "kind": kind, "names": frozenset(names)}
    exec("\n".join(lines), space)  # noqa: S102  # of names that are fields
    copier: Callable[[Any, dict[str, Any]], Any] = space["copy"]
    return copier
