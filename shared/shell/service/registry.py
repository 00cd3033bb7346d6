"""What a service declared, turned into look-ups that the shell uses for every message."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from typing import Any

from shared.core import (
    MESSAGES,
    Command,
    Core,
    Event,
    Handling,
    Message,
    Outcome,
    Question,
    Record,
    Report,
    TimerMessage,
    Topic,
    hashed_id,
)
from shared.core.codec import TypeRegistry
from shared.shell.ports.tables import RecordTable, Search, StateTable
from shared.shell.service.service import Service

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
        self.searches: dict[type[Question], Search] = {search.kind: search for search in service.storage.searches}
        self._handlers: dict[type[Any], tuple[Core[Any], Handling]] = {}
        for core in service.cores:
            self._add(core)
        internal = [kind for kind in self._handlers if issubclass(kind, INTERNAL)]
        self.internal = TypeRegistry(internal)
        """Messages that are stored and come back: outcomes, timers, reports."""
        self.operations = TypeRegistry(service.gateways)
        self._check_outcomes()
        check_topics(service, {kind for kind in self._handlers if issubclass(kind, Message)})
        self.emitted = service.emitted
        """What a decision may publish or send."""
        self.versioned = versioned(service)
        """Events that are published in an earlier version, too."""
        self.siblings = frozenset(kind.topic.owner for kind in MESSAGES.values()) - {OUTSIDE}
        """The sources whose messages our own services make: the same decision made again may tell it in other words."""
        self.topics = frozenset(topic.name for topic in service.consumes)
        self.command_topics = frozenset(
            topic.name for topic, kinds in service.consumes.items() if any(issubclass(kind, Command) for kind in kinds)
        )
        """Of what comes there, an unknown type is a command too."""
        self.storefront_topics = frozenset(topic.name for topic in service.consumes if topic.owner == OUTSIDE)
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

    def _check_outcomes(self) -> None:
        for operation in self.service.gateways:
            if not hasattr(operation, "Done"):
                raise TypeError(f"{operation.__qualname__} declares no outcome Done")
            for outcome in operation.outcomes():
                if outcome not in self._handlers:
                    raise TypeError(f"{self.name} does not handle {outcome.__qualname__}")
        for kind in self._handlers:
            if issubclass(kind, Outcome) and kind.answers not in self.service.gateways:
                raise TypeError(f"{self.name} handles {kind.__qualname__}, but has no gateway for what it answers")


def check_topics(service: Service, handled: set[type[Message]]) -> None:
    """Raises TypeError with all that does not fit: what is consumed is handled and the other way round, and every type
    is listed under its topic, what is emitted under one of the service's own."""
    consumed = set(chain.from_iterable(service.consumes.values()))
    problems = [
        *(f"consumes {kind.__qualname__}, which no core handles" for kind in _sorted(consumed - handled)),
        *(f"handles {kind.__qualname__}, but does not consume it" for kind in _sorted(handled - consumed)),
        *_misplaced(service.consumes),
        *_misplaced(service.emits),
        *(
            f"emits {kind.__qualname__}, but {kind.topic.name} belongs to {kind.topic.owner}"
            for kind in _sorted(service.emitted)
            if issubclass(kind, Event) and kind.topic.owner != service.name
        ),
    ]
    if problems:
        raise TypeError("; ".join(f"{service.name} {problem}" for problem in problems))


def versioned(service: Service) -> frozenset[type[Event]]:
    """The events whose version before is listed as well. Raises TypeError where it cannot be made of them."""
    emitted = {(kind.type, kind.version): kind for kind in service.emitted if issubclass(kind, Event)}
    kinds = frozenset(kind for (type, version), kind in emitted.items() if (type, version - 1) in emitted)
    for kind in kinds:
        if kind.topic.compacted:
            raise TypeError(f"{kind.topic.name} keeps one record per key: publish {kind.__qualname__} on another topic")
        if kind.earlier is Event.earlier:
            raise TypeError(f"{kind.__qualname__} does not say what it was earlier")
    return kinds


def _misplaced(listed: Mapping[Topic, Collection[type[Message]]]) -> list[str]:
    return [
        f"lists {kind.__qualname__} under {topic.name}, but it is on {kind.topic.name}"
        for topic, kinds in listed.items()
        for kind in kinds
        if kind.topic != topic
    ]


def _sorted(kinds: Iterable[type[Message]]) -> list[type[Message]]:
    return sorted(kinds, key=lambda kind: kind.__qualname__)
