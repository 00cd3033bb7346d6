"""States that a worker used lately, so that it need not parse them again.

A row's content changes only together with its version, which guards every save. A cached state is used when the row,
loaded and where it may change locked, still has the cached version; then the database need not send the content either.
If you correct a row by hand, raise its version.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shared.core import Ref
from shared.core.fast_dataclasses import fast
from shared.core.unknown_fields import Carried

SIZE = 1000
"""Rows. The messages of an order come close together."""


@fast
@dataclass(frozen=True, slots=True)
class Cached:
    version: int
    state: Any
    carried: Carried | None = None
    """What the row has besides."""


class StateCache:
    """The latest states by row. Only what was committed may be kept."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._states: OrderedDict[Ref[Any], Cached] = OrderedDict()

    def keep(self, ref: Ref[Any], known: Cached) -> None:
        self._states[ref] = known
        self._states.move_to_end(ref)
        if len(self._states) > self._size:
            self._states.popitem(last=False)

    def states(self, kind: type[Any], keys: Iterable[str]) -> dict[str, Cached]:
        """Those that are cached, by key."""
        found = ((key, self._states.get(Ref(kind, key))) for key in keys)
        return {key: known for key, known in found if known is not None}
