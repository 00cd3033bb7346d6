"""What the services' states, topics and provider say, as evidence for the invariants. Pure: `check.py` reads them from
real databases, Kafka and Stripe, the simulation from its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from services.checkout.domain import invariants as checkout_rules
from services.checkout.domain.order import Order
from services.checkout.domain.status_record import status_record
from services.fulfillment.domain import invariants as fulfillment_rules
from services.fulfillment.domain.states import Delivery, ItemStatus, Stock, StockHold, row_key
from services.notifications.domain import promises
from services.notifications.domain.state import Endpoints, NotificationLog
from services.payments.domain import invariants as payments_rules
from services.payments.domain.ledger import PROVIDER_BALANCE, LedgerEntry
from services.payments.domain.payment import Payment, RefundStatus
from shared.contracts.envelope import encode
from shared.invariants.rules import (
    DeliveryFacts,
    Evidence,
    ItemFacts,
    Movement,
    OrderFacts,
    PaymentFacts,
    StockFacts,
    StreamFacts,
    Unhandled,
)

STAFF_WORKS_ON = frozenset({"waiting", "failed"})
"""Deliveries that wait for a parcel, a code or a person: staff see them in lists of their own."""


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


@dataclass
class Gathered:
    """States by key, and what else was found. `rows` and the rest go into the evidence as they are."""

    at: datetime
    orders: dict[str, Order] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    ledger: list[LedgerEntry] = field(default_factory=list)
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    stock: dict[str, Stock] = field(default_factory=dict)
    threads: dict[str, NotificationLog] = field(default_factory=dict)
    endpoints: dict[str, Endpoints] = field(default_factory=dict)
    provider: list[Movement] = field(default_factory=list)
    effects: Counter[str] = field(default_factory=Counter)
    streams: list[StreamFacts] = field(default_factory=list)
    status: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    unhandled: list[Unhandled] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    under_way: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)
    unresolved: list[str] = field(default_factory=list)

    def stream(
        self, source: str, key: str, numbers: Numbers, counted: int | None, waiting: int = 0, *, cut: bool = False
    ) -> None:
        """Add what a service told of a key; `orders` must be there already. The rows of a SKU (product, stock, pool)
        have one key, and each counts its own refusals: theirs may have the same number."""
        twice = numbers.twice if key in self.orders else ()
        self.streams.append(StreamFacts(source, key, numbers.given, counted, waiting, cut, twice))

    def evidence(self) -> Evidence:
        stock, held_by = list(self._stock()), self._stock_of_busy()
        return Evidence(
            at=self.at,
            orders={key: order_facts(key, order) for key, order in self.orders.items()},
            payments=self._payments(),
            deliveries={key: delivery_facts(key, delivery) for key, delivery in self.deliveries.items()},
            stock=stock,
            ledger=[
                Movement(e.reference, e.amount, e.currency, e.key) for e in self.ledger if e.account == PROVIDER_BALANCE
            ],
            provider=self.provider,
            effects=self.effects,
            streams=self.streams,
            status=self.status,
            unhandled=self.unhandled,
            untold=self._untold(),
            rows=self.rows,
            under_way=frozenset(self.under_way | self._with_staff()),
            alerted=frozenset(key for key, thread in self.threads.items() if _staff_know(thread)),
            busy=frozenset(self.busy | held_by),
            unresolved=[*self.unresolved, *self._unresolved_payments()],
        )

    def _payments(self) -> dict[str, PaymentFacts]:
        entries: dict[str, list[LedgerEntry]] = {}
        for entry in self.ledger:
            entries.setdefault(entry.key, []).append(entry)
        return {key: payment_facts(key, payment, entries.get(key, ())) for key, payment in self.payments.items()}

    def _stock(self) -> Iterator[StockFacts]:
        held: Counter[tuple[str, StockHold]] = Counter()
        for delivery in self.deliveries.values():
            for item in delivery.items:
                held[row_key(delivery.store, item.sku), item.stock] += item.quantity
        named = {key for key, hold in held if hold in (StockHold.RESERVED, StockHold.TAKEN)}
        for key in sorted({*self.stock, *named}):
            row = self.stock.get(key, Stock())
            reserved, taken = held[key, StockHold.RESERVED], held[key, StockHold.TAKEN]
            yield StockFacts(key, row.on_hand, row.reserved, row.received, reserved, taken)

    def _stock_of_busy(self) -> set[str]:
        """The stock of orders in motion is in motion."""
        busy = (self.deliveries[key] for key in self.busy if key in self.deliveries)
        return {row_key(delivery.store, item.sku) for delivery in busy for item in delivery.items}

    def _untold(self) -> dict[str, list[str]]:
        found = {
            key: list(promises.broken(thread, self.endpoints.get(thread.store.id), at_rest=key not in self.under_way))
            for key, thread in self.threads.items()
        }
        for key, order in self.orders.items():
            if order.placed_at and key not in self.threads:
                found[key] = ["notifications knows nothing of it"]
        return {key: problems for key, problems in found.items() if problems}

    def _with_staff(self) -> set[str]:
        return {
            key
            for key, order in self.orders.items()
            if any(line.delivery.value in STAFF_WORKS_ON for line in order.lines)
        }

    def _unresolved_payments(self) -> list[str]:
        return [
            f"payment {key}: nobody knows what became of a call to the provider"
            for key, payment in self.payments.items()
            if payment.unresolved
        ]


def order_facts(key: str, order: Order) -> OrderFacts:
    always = checkout_rules.broken(order)
    return OrderFacts(
        key=key,
        number=order.number,
        status=order.status.value,
        currency=order.currency,
        total=order.total,
        purchased=order.purchased,
        paid=order.paid,
        refunded=order.refunded,
        items={
            line.item.item: ItemFacts(line.item.quantity, line.item.purchased, line.refunded, line.delivery.value)
            for line in order.lines
        },
        paid_at=order.paid_at,
        deadline=order.deadline,
        status_record=orjson.loads(encode(status_record(order))),
        broken=tuple(always),
        stalled=tuple(rule for rule in checkout_rules.broken(order, at_rest=True) if rule not in always),
    )


def payment_facts(key: str, payment: Payment, ledger: Iterable[LedgerEntry]) -> PaymentFacts:
    sums: Counter[str] = Counter()
    at_provider = 0
    for entry in ledger:
        sums[f"{entry.transaction} {entry.currency}"] += entry.amount
        at_provider += entry.amount if entry.account == PROVIDER_BALANCE else 0
    paid = payment.paid.number if payment.paid else 0
    of_surplus = (r.amount for r in payment.refunds if r.status is RefundStatus.DONE and r.attempt != paid)
    return PaymentFacts(
        key=key,
        currency=payment.currency,
        authorised=payment.authorised,
        captured=payment.captured,
        refunded=payment.refunded,
        pending=payment.pending,
        surplus=sum(attempt.captured for attempt in payment.attempts if attempt.number != paid),
        surplus_refunded=sum(of_surplus),
        ledger=at_provider,
        unbalanced=tuple(name for name, amount in sums.items() if amount),
        unresolved=payment.unresolved,
        broken=tuple(payments_rules.broken(payment)),
    )


def delivery_facts(key: str, delivery: Delivery) -> DeliveryFacts:
    reached = {item.id: item.quantity for item in delivery.items if item.status is ItemStatus.DELIVERED}
    return DeliveryFacts(key, delivery.stage.value, reached, tuple(fulfillment_rules.broken(delivery)))


def row_problems(table: str, key: str, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Columns of a row that say something else than its data."""
    return [
        f"{table} {key}: column {name} is {_shown(stored.get(name))}, its data says {_shown(value)}"
        for name, value in wanted.items()
        if stored.get(name) != value
    ]


def _staff_know(thread: NotificationLog) -> bool:
    return thread.failed or any(mail.audience == "staff" and mail.template != "new_order" for mail in thread.mails)


def _shown(value: Any) -> str:
    """Never a person's data: numbers, states and times are shown, texts only by their length."""
    if isinstance(value, str) and "@" in value:
        return f"a text of {len(value)} characters"
    return "nothing" if value is None else str(value)[:80]
