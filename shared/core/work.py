"""What is under way for a key: the invariants ask it what may still change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Task(NamedTuple):
    """A call or a timer that is to come."""

    service: str
    kind: str
    """The class name of the operation, or of the timer's message."""
    about: str | None = None
    """What `about` says of it; None: it cannot be read, and may be about anything."""


@dataclass(frozen=True, slots=True)
class Work:
    """`parked`: services in which messages of the key are parked."""

    tasks: frozenset[Task] = frozenset()
    parked: frozenset[str] = frozenset()

    def of(self, *services: str) -> bool:
        """Whether a call or a timer of one of these services is to come."""
        return any(task.service in services for task in self.tasks)

    def to_come(self, service: str, kinds: Iterable[type], about: str) -> bool:
        """Whether a call or a timer of these classes is to come that is about this, or a message is parked in their
        service."""
        names = {kind.__qualname__ for kind in kinds}
        return service in self.parked or any(
            task.service == service and task.kind in names and task.about in (about, None) for task in self.tasks
        )

    def is_parked(self, *services: str) -> bool:
        return not self.parked.isdisjoint(services)


NO_WORK = Work()
