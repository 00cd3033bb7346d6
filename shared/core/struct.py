"""Frozen dataclasses without a decorator: what operations, outcomes, timers, reports and records are made of."""

from __future__ import annotations

import dataclasses
from typing import dataclass_transform

from shared.core.fast_dataclasses import fast


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
class Struct:
    """Every subclass is a dataclass of the fields that it annotates. The type checker holds it to be frozen; at run
    time it is an ordinary class, which is made in a third of the time."""

    def __init_subclass__(cls) -> None:
        if "__slots__" in vars(cls):
            raise TypeError(f"{cls.__qualname__} is a dataclass by its base: leave the decorator out")
        super().__init_subclass__()
        fast(dataclasses.dataclass(frozen=True, init=False)(cls))
