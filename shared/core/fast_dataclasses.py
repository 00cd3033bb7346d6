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
    changed: Any = kind
    del changed.__setattr__, changed.__delattr__
    changed.__init__ = _init_of(kind)
    return kind


def _init_of(kind: type[Any]) -> Callable[..., None]:
    """As dataclasses writes it for a class that is not frozen."""
    space: dict[str, Any] = {"MISSING": dataclasses.MISSING}
    parameters, lines = ["self"], []
    for field in sorted(dataclasses.fields(kind), key=lambda field: bool(field.kw_only)):
        name = value = field.name
        if field.kw_only and "*" not in parameters:
            parameters.append("*")
        if field.default is not dataclasses.MISSING:
            space[f"default_{name}"] = field.default
            parameters.append(f"{name}=default_{name}")
        elif field.default_factory is not dataclasses.MISSING:
            space[f"make_{name}"] = field.default_factory
            parameters.append(f"{name}=MISSING")
            value = f"make_{name}() if {name} is MISSING else {name}"
        else:
            parameters.append(name)
        lines.append(f"self.{name} = {value}")
    if hasattr(kind, "__post_init__"):
        lines.append("self.__post_init__()")
    code = f"def __init__({', '.join(parameters)}):\n    " + "\n    ".join(lines or ["pass"])
    exec(code, space)  # noqa: S102  # of names that are fields
    init: Callable[..., None] = space["__init__"]
    init.__qualname__ = f"{kind.__qualname__}.__init__"
    return init


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
    quick = vars(object)["__setattr__"] is kind.__setattr__
    if not quick and names != list(kind.__dict__.get("__slots__", ())):
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
    ordinary = kind if quick else type(kind.__name__, (), {"__slots__": names})
    space: dict[str, Any] = {"create": object.__new__, "ordinary": ordinary, "kind": kind, "names": frozenset(names)}
    exec("\n".join(lines), space)  # noqa: S102  # of names that are fields
    copier: Callable[[Any, dict[str, Any]], Any] = space["copy"]
    return copier
