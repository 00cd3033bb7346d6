"""States that a worker used lately, so that it need not parse them again.

A row's content changes only together with its version, which guards every save. A cached state is used when the row,
loaded and where it may change locked, still has the cached version; then the database need not send the content either.
If you correct a row by hand, raise its version.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from shared.core import Ref

SIZE = 1000
"""Rows. The messages of an order come close together."""


class StateCache:
    """The latest states by row. Only what was committed may be kept."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._states: OrderedDict[Ref[Any], tuple[int, Any]] = OrderedDict()

    def keep(self, ref: Ref[Any], version: int, state: object) -> None:
        self._states[ref] = (version, state)
        self._states.move_to_end(ref)
        if len(self._states) > self._size:
            self._states.popitem(last=False)

    def states(self, kind: type[Any], keys: Iterable[str]) -> dict[str, tuple[int, Any]]:
        """Version and state of those that are cached, by key."""
        found = ((key, self._states.get(Ref(kind, key))) for key in keys)
        return {key: known for key, known in found if known is not None}
