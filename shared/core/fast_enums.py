"""Enums of texts whose `value` costs next to nothing.

Python 3.11 reads `value` by two calls of Python functions, and pydantic does so for each enum that it writes: those of
an order took a tenth of the time that checkout needs for a message. Here it is a property in C.
"""

from __future__ import annotations

import enum
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enum import StrEnum as StrEnum  # noqa: PLC0414  # its members and their values are known to the type checker
else:

    class StrEnum(enum.StrEnum):
        """`enum.StrEnum`, but that `value` of the class itself is the property."""

        value = property(attrgetter("_value_"))
