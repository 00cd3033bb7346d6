"""What is under way for a key: the invariants ask it what may still change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """`kinds`: operations and timers, by service and class name. `parked`: services in which messages of the key are
    parked."""

    kinds: frozenset[tuple[str, str]] = frozenset()
    parked: frozenset[str] = frozenset()

    def of(self, *services: str) -> bool:
        """Whether a call or a timer of one of these services is to come."""
        return any(service in services for service, _ in self.kinds)

    def to_come(self, service: str, kinds: Iterable[type]) -> bool:
        """Whether a call or a timer of these classes is to come, or a message is parked in their service."""
        return service in self.parked or any((service, kind.__qualname__) in self.kinds for kind in kinds)

    def is_parked(self, *services: str) -> bool:
        return not self.parked.isdisjoint(services)


NO_WORK = Work()
