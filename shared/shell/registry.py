"""What a service declared, turned into look-ups that the shell uses for every message."""

from __future__ import annotations

from typing import Any

from shared.core import (
    MESSAGES,
    Core,
    Event,
    Handling,
    Message,
    Operation,
    Outcome,
    Record,
    Report,
    TimerMessage,
    hashed_id,
)
from shared.core.codec import TypeRegistry
from shared.shell.service import RecordTable, Service, StateTable

INTERNAL = (Outcome, TimerMessage, Report)
OUTSIDE = "storefront"


class HandlerRegistry:
    """Look-ups over a service's cores and tables. Raises TypeError where the declaration does not fit together."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.name = service.name
        self.salt = hashed_id("service", service.name).int
        self.tables: dict[type[Any], StateTable] = {table.kind: table for table in service.storage.states}
        self.records: dict[type[Record], RecordTable] = {table.kind: table for table in service.storage.records}
        self._handlers: dict[type[Any], tuple[Core[Any], Handling]] = {}
        for core in service.cores:
            self._add(core)
        internal = [kind for kind in self._handlers if issubclass(kind, INTERNAL)]
        self.names = TypeRegistry(internal)
        self.operations = TypeRegistry(service.gateways)
        for operation in service.gateways:
            self._check_outcomes(operation)
        self.siblings = frozenset(kind.topic.owner for kind in MESSAGES.values()) - {OUTSIDE}
        """The sources whose messages our own services make: the same decision made again may tell it in other words."""
        self.topics = frozenset(topic.name for topic in service.consumes)
        self.foreign = self._foreign()
        """Topic and type of facts that are no business of this service in any version: they are not even decoded."""

    def handles(self, kind: type[Any]) -> bool:
        return kind in self._handlers

    def handler(self, kind: type[Any]) -> tuple[Core[Any], Handling]:
        return self._handlers[kind]

    def _foreign(self) -> frozenset[tuple[str, bytes]]:
        own = {kind.type for kind in self._handlers if issubclass(kind, Message)}
        facts = (kind for kind in MESSAGES.values() if issubclass(kind, Event) and kind.type not in own)
        return frozenset((kind.topic.name, kind.type.encode()) for kind in facts)

    def _add(self, core: Core[Any]) -> None:
        if core.kind not in self.tables:
            raise TypeError(f"{self.name} has no table for {core.kind.__qualname__}")
        for kind, handling in core.handlers.items():
            if kind in self._handlers:
                raise TypeError(f"two cores of {self.name} handle {kind.__qualname__}")
            self._handlers[kind] = (core, handling)

    def _check_outcomes(self, operation: type[Operation]) -> None:
        for name in ("Done", "Failed", "Unresolved"):
            outcome = getattr(operation, name, None)
            if outcome is None or outcome not in self._handlers:
                raise TypeError(f"{self.name} does not handle {operation.__qualname__}.{name}")
