"""Frozen dataclasses that are made by the thousand a second.

A frozen dataclass sets each field through `object.__setattr__`: with a dozen fields, making one takes three times as
long as an ordinary one, which was a fifth of a worker's CPU time per message. Below `@swift` a class stays frozen for
the type checker, which everything here has to pass; at run time it is an ordinary one.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

T = TypeVar("T")


def swift(kind: type[T]) -> type[T]:
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
