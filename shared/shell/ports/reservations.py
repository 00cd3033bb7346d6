"""Where the workers of a service reserve calls of an outside system whose rate is limited.
`postgres/reservations.py` is production's."""

from __future__ import annotations

from typing import Protocol


class Reservations(Protocol):
    async def reserve(self, name: str, length: float) -> float:
        """Take the next `length` seconds of a name. Returns how many seconds from now they begin, 0 or more. Raises
        StoreUnavailable."""
        ...
