"""When a lease of an operation begins, and for how long: with the decision, if this worker can take it on."""

from __future__ import annotations

from typing import Protocol

from shared.core import Operation


class Capacity(Protocol):
    """What this worker can take on now. Asked while a batch decides."""

    def lease_budget(self, kind: str, destination: str) -> int:
        """How many more leases of a kind of operation it takes; none for a destination that is not called now."""
        ...

    def call_budget(self, kind: str) -> int:
        """How many more calls of a kind it can begin at once."""
        ...


class NoCapacity:
    """For a batch that only parks, and for workers that perform no operations."""

    def lease_budget(self, kind: str, destination: str) -> int:
        return 0

    def call_budget(self, kind: str) -> int:
        return 0


def lease_seconds(operation: Operation | type[Operation]) -> float:
    """Long enough to wait for a free place, look at the provider's records, and call. The lease of a dead worker ends
    when that worker starts again, or else after this time."""
    return operation.timeout * 2 + 30
