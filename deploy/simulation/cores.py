"""The real cores, watched: in which order messages were decided, and now and then a bug that staff have fixed later."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from deploy.simulation.fault_profile import FaultProfile
from deploy.simulation.history import History
from services.checkout.domain.invariants import is_silent
from services.checkout.domain.order import Order
from shared.contracts.envelope import Envelope
from shared.core import Context, Core, Decision, mixed
from shared.core.ids import salt_of
from shared.shell.batch.result import BatchResult
from shared.shell.inbound.message import Inbound, identity_of, kept_source
from shared.shell.ports.bus import BusRecord
from shared.shell.service import Service

BUG = "a bug of the core"


class Watch:
    """Sees every decision of every core. A decision that is rolled back is made again: the last one counts."""

    def __init__(self, profile: FaultProfile, history: History, rng: random.Random) -> None:
        self.profile, self.history, self.rng = profile, history, rng
        self.on_bug: Callable[[str, str, UUID], None] = lambda service, key, message: None
        self.broken: set[UUID] = set()
        """Messages that make their core raise, until it is fixed."""
        self._seen: set[UUID] = set()
        self.wrong: list[tuple[str, str]] = []
        """(Key, what is wrong): rules that a state broke, also between two moments of rest."""
        self._committed: dict[tuple[str, UUID], int] = {}
        self._decided: dict[tuple[str, str], dict[UUID, int]] = {}
        self._number = 0
        self.consumers: dict[str, list[str]] = {}
        """Services by topic that they read."""
        self.said: set[tuple[str, str, int, int]] = set()
        """Records that were refused or parked at some time, by service and position."""
        self.ended: list[tuple[str, Inbound]] = []
        """Every outcome that a service handled."""
        self.observers: list[Callable[[str, Any, Any], str | None]] = []
        """Given the key and the states before and after a decision, each says what is wrong."""

    def over(self, service: Service) -> Service:
        """The same service, its cores watched."""
        for topic in service.consumes:
            self.consumers.setdefault(topic.name, []).append(service.name)
        salt = salt_of("service", service.name)
        return replace(service, cores=[self._watched(service, salt, core) for core in service.cores])

    def _watched(self, service: Service, salt: int, core: Core[Any]) -> Core[Any]:
        watched: Core[Any] = Core(core.kind)
        own = {rules.kind: rules.broken for rules in service.invariants if rules.reads is None}
        for kind, handling in core.handlers.items():
            decide = self._around(service.name, salt, handling.function, own.get(core.kind))
            watched.handlers[kind] = replace(handling, function=decide)
        return watched

    def _around(
        self,
        service: str,
        salt: int,
        function: Callable[[Any, Any, Context], Any],
        broken: Callable[..., Iterable[str]] | None,
    ) -> Callable[[Any, Any, Context], Any]:

        def decide(state: Any, message: Any, context: Context) -> Any:
            id = mixed(context.message_id, salt)
            self._number += 1
            self._decided.setdefault((service, context.key), {})[id] = self._number
            if id not in self._seen:
                self._seen.add(id)
                if self.profile.happens(self.profile.level.core_bug):
                    self.broken.add(id)
                    self.history.fault("core_bug", f"{service} {context.key} {type(message).__name__}")
                    self.on_bug(service, context.key, id)
            if id in self.broken:
                raise RuntimeError(BUG)
            answer = function(state, message, context)
            if broken and isinstance(answer, Decision) and answer.state is not None and answer.state is not state:
                self.wrong += [(context.key, f"{service} breaks: {rule}") for rule in broken(answer.state)]
            if isinstance(answer, Decision) and answer.state is not state:
                said = (observer(context.key, state, answer.state) for observer in self.observers)
                self.wrong += [(context.key, wrong) for wrong in said if wrong]
            if isinstance(state, Order) and isinstance(answer, Decision) and is_silent(message, answer):
                self.wrong.append((context.key, f"{service} says nothing of {type(message).__name__}"))
            return answer

        return decide

    def committed(self, service: str, inbounds: Sequence[Inbound], done: BatchResult) -> None:
        """A batch was committed; what it parked comes again, and what it refused for now may."""
        for inbound, what in done.decided:
            if inbound.record and what != "handled":
                self.said.add((service, inbound.record.topic, inbound.record.partition, inbound.record.offset))
            if inbound.operation and inbound.parked is None:
                self.ended.append((service, inbound))
            if what == "parked" or inbound.identity in done.passing:
                continue
            place = (service, inbound.identity)
            self._committed[place] = self._committed.get(place, 0) + 1
            if self._committed[place] > 1:
                kind = type(inbound.message).__qualname__
                self.wrong.append((inbound.key, f"{service} handled {kind} {self._committed[place]} times"))

    def forget(self, service: str) -> None:
        """Its database was restored: it handles again what it had handled."""
        self._committed = {place: times for place, times in self._committed.items() if place[0] != service}

    def decided(self, service: str, key: str, message: UUID) -> bool:
        """Whether a core of the service ever decided a message under this key."""
        return message in self._decided.get((service, key), ())

    def overtaken(self, read: Iterable[tuple[BusRecord, Envelope]]) -> Iterator[tuple[str, str]]:
        """(Key, what is wrong): a service decided messages of one key and topic in another order than the topic's. What
        came by HTTP is decided at once, before what waits in the topic that gets its copy."""
        places: dict[tuple[str, UUID], dict[str, int]] = {}
        by_http = {kept_source(service) for service, _ in self._decided}
        for record, envelope in read:
            if record.topic in self.consumers and envelope.source not in by_http:
                places.setdefault((envelope.subject, message_id(envelope)), {}).setdefault(record.topic, record.offset)
        for (service, key), decided in self._decided.items():
            latest: dict[str, int] = {}
            for id in sorted(decided, key=lambda id: decided[id]):
                for topic, offset in places.get((key, id), {}).items():
                    if offset < latest.get(topic, -1):
                        yield key, f"{service} handled {topic} offset {offset} after offset {latest[topic]}"
                    latest[topic] = max(offset, latest.get(topic, -1))


def message_id(envelope: Envelope) -> UUID:
    """What the shell knows a message by."""
    return identity_of(envelope.source, envelope.id)
