"""What was read of a system, put together as evidence for the invariants.

`orderbus check` reads databases, topics and the payment provider (`run.py`), the simulation its own world. Both add
what they read to `Findings`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import orjson

from deploy.check import facts
from services.checkout.domain.order import Order
from services.fulfillment.domain.delivery import Delivery
from services.fulfillment.domain.stock import Stock
from services.notifications.domain.notification_log import NotificationLog
from services.payments.domain.ledger import PROVIDER_BALANCE, LedgerEntry
from services.payments.domain.payment import Payment
from shared.contracts.checkout import STATUS
from shared.core import Event, Message, codec
from shared.invariants.facts import BrokenRule, Evidence, Movement, PaymentFacts, StreamFacts, Unhandled
from shared.shell.inbound.message import identity_of
from shared.shell.ports.tables import StateTable
from shared.shell.service import Invariants
from shared.shell.service.registry import HandlerRegistry

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Seen:
    """A record that is a message; the body only where it is needed."""

    topic: str
    key: str
    id: UUID
    kind: type[Message] | None
    """None where only a newer build knows it."""
    source: str
    sequence: int
    at: datetime
    body: bytes = b""

    @property
    def identity(self) -> UUID:
        """What an inbox knows it by."""
        return identity_of(self.source, self.id)


@dataclass
class Numbers:
    """The numbers that a service gave to its events of one key, in the order of the topic."""

    given: list[int] = field(default_factory=list)
    _events: dict[int, UUID] = field(default_factory=dict)
    _twice: set[int] = field(default_factory=set)

    def add(self, number: int, event: UUID) -> None:
        self.given.append(number)
        if self._events.setdefault(number, event) != event:
            self._twice.add(number)

    @property
    def twice(self) -> list[int]:
        return sorted(self._twice)


class Findings:
    def __init__(self, at: datetime, services: Mapping[str, HandlerRegistry]) -> None:
        self.at = at
        self.services = services
        self.ledger: list[LedgerEntry] = []
        self.provider: list[Movement] = []
        self.effects: Counter[str] = Counter()
        """How often the provider did something."""
        self.under_way: set[str] = set()
        """Keys that an operation or a timer works on."""
        self.busy: set[str] = set()
        self.parked: defaultdict[str, set[str]] = defaultdict(set)
        """The services in which messages of a key are parked."""
        self.waiting: Counter[tuple[str, str]] = Counter()
        """Events in the outbox, by service and key."""
        self.cut: frozenset[str] = frozenset()
        """Topics whose beginning is gone."""
        self.retention: timedelta | None = None
        """Explains it for orders that are older."""
        self._rows: defaultdict[type[Any], dict[str, Any]] = defaultdict(dict)
        self._problems: list[str] = []
        self._counted: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._numbers: defaultdict[str, defaultdict[str, Numbers]] = defaultdict(lambda: defaultdict(Numbers))
        self._status: dict[str, Mapping[str, Any]] = {}
        self._records: dict[tuple[str, str, str, UUID], Seen] = {}
        self._unhandled: list[Unhandled] = []
        self._topics = {name: _counted_topics(registry) for name, registry in services.items()}

    # What was read

    def row(
        self,
        service: str,
        table: StateTable,
        key: str,
        sequence: int,
        data: bytes | str | None,
        columns: Mapping[str, Any],
    ) -> None:
        """A row of a state; `data` is None for a key that was only ever refused things."""
        counted = self._counted[service]
        counted[key] = max(counted.get(key, 0), sequence)
        if data is None:
            return
        try:
            state = codec.load(table.kind, data)
        except ValueError as wrong:
            self._problems.append(f"{table.table.name} {key}: its data cannot be read ({type(wrong).__name__})")
            return
        self._problems += facts.row_problems(table.table.name, key, columns, table.columns(state))
        self._rows[table.kind][key] = state

    def charge(self, reference: str, amount: int, currency: str, order: str, attempt: str) -> None:
        """Money that the provider took."""
        self.provider.append(Movement(reference, amount, currency, order))
        if order and attempt:
            self.effects[f"the charge of order {order}, attempt {attempt},"] += 1

    def refund(self, reference: str, amount: int, currency: str, order: str, refund: str) -> None:
        """Money that the provider returned."""
        self.provider.append(Movement(reference, -amount, currency, order))
        if refund:
            self.effects[f"refund {refund} of order {order}"] += 1

    def record(self, seen: Seen) -> None:
        """A record of a topic, in the topic's order. Repetitions are harmless, but on the status topic the last record
        counts, whichever it is: readers of a compacted topic have no other."""
        place = (seen.topic, seen.key, seen.source, seen.id)
        if seen.topic == STATUS.name and seen.kind:
            self._status[seen.key] = _told(seen.body)
        elif seen.sequence and seen.topic in self._topics.get(seen.source, ()):
            self._numbers[seen.source][seen.key].add(seen.sequence, seen.id)
        self._records.setdefault(place, seen)

    def of_interest_to(self, service: str) -> list[Seen]:
        """The records that a service should have handled."""
        registry = self.services[service]
        return [
            one
            for one in self._records.values()
            if one.topic in registry.topics and one.kind and registry.handles(one.kind)
        ]

    def unhandled(self, service: str, seen: Seen) -> None:
        """A record of interest to it is not in its inbox."""
        type = seen.kind.type if seen.kind else "a message"
        self._unhandled.append(Unhandled(service, type, seen.key, str(seen.id)))

    # What it comes to

    def of(self, kind: type[S]) -> Mapping[str, S]:
        """States by key."""
        return self._rows[kind]

    def evidence(self) -> Evidence:
        orders, deliveries, logs = self.of(Order), self.of(Delivery), self.of(NotificationLog)
        under_way = self.under_way | {key for key, order in orders.items() if facts.staff_work_on(order)}
        return Evidence(
            at=self.at,
            orders={key: facts.order_facts(key, order) for key, order in orders.items()},
            payments=self._payments(),
            deliveries={key: facts.delivery_facts(key, delivery) for key, delivery in deliveries.items()},
            stock=list(facts.stock_facts(self.of(Stock), deliveries.values())),
            ledger=[
                Movement(e.reference, e.amount, e.currency, e.key) for e in self.ledger if e.account == PROVIDER_BALANCE
            ],
            provider=self.provider,
            effects=self.effects,
            streams=list(self._streams()),
            status=self._status,
            unhandled=self._unhandled,
            notified=frozenset(logs),
            broken=list(self.broken()),
            rows=self._problems,
            under_way=frozenset(under_way),
            alerted=frozenset(key for key, log in logs.items() if facts.staff_know(log, orders.get(key))),
            busy=frozenset(self.busy | self._stock_of_busy()),
            parked={key: frozenset(services) for key, services in self.parked.items()},
        )

    def broken(self, *, at_rest: bool = False) -> Iterator[BrokenRule]:
        """The services' own rules that rows break. `at_rest`: no work is in progress anywhere, so all must hold."""
        moving = set() if at_rest else self.busy | self.under_way
        for name, registry in self.services.items():
            for own in registry.service.invariants:
                for key, state in self.of(own.kind).items():
                    broken = own.broken(state, *self._others(own, state), at_rest=key not in moving)
                    yield from (BrokenRule(name, key, rule) for rule in broken)

    def _others(self, own: Invariants, state: object) -> list[Any]:
        return [self._rows[ref.kind].get(ref.key) for ref in own.reads(state)] if own.reads else []

    def _payments(self) -> dict[str, PaymentFacts]:
        entries: dict[str, list[LedgerEntry]] = {}
        for entry in self.ledger:
            entries.setdefault(entry.key, []).append(entry)
        payments = self.of(Payment).items()
        return {key: facts.payment_facts(key, payment, entries.get(key, ())) for key, payment in payments}

    def _streams(self) -> Iterator[StreamFacts]:
        """The rows of a SKU (product, stock, pool) have one key, and each counts its own refusals: theirs may have the
        same number."""
        orders = self.of(Order)
        for name, topics in self._topics.items():
            counted, numbers = self._counted[name], self._numbers[name]
            for key in sorted({*(key for key, count in counted.items() if count), *numbers}):
                given = numbers.get(key, Numbers())
                cut = bool(topics & self.cut) and self._retention_may_reach(key)
                twice = given.twice if key in orders else ()
                yield StreamFacts(name, key, given.given, counted.get(key), self.waiting[name, key], cut, twice)

    def _retention_may_reach(self, key: str) -> bool:
        """Messages of an order are no older than the order."""
        order = self.of(Order).get(key)
        return order is None or self.retention is None or order.created_at < self.at - self.retention

    def _stock_of_busy(self) -> set[str]:
        """The stock of orders in motion is in motion."""
        deliveries = self.of(Delivery)
        busy = (deliveries[key] for key in self.busy if key in deliveries)
        return {delivery.row_key(item.sku) for delivery in busy for item in delivery.items}


def _told(body: bytes) -> Mapping[str, Any]:
    """What a record of the status topic says; nothing where it cannot be read."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}


def _counted_topics(registry: HandlerRegistry) -> frozenset[str]:
    """Where a service's events are, each with its number."""
    emitted = registry.service.emitted
    return frozenset(kind.topic.name for kind in emitted if issubclass(kind, Event) and not kind.topic.compacted)
