"""Rows of the services as facts of the invariants. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import orjson

from services.checkout.domain.order import Order
from services.checkout.domain.status_record import status_record
from services.fulfillment.domain.delivery import Delivery, ItemStatus, StockHold
from services.fulfillment.domain.stock import Stock
from services.notifications.domain.notification_log import NotificationLog
from services.payments.domain.ledger import SALES, LedgerEntry
from services.payments.domain.payment import ChargeAttempt, Payment, RefundStatus
from shared.contracts.checkout import OrderStatusRecord
from shared.contracts.envelope import encode
from shared.core import Task
from shared.core.codec import TypeRegistry
from shared.invariants.facts import DeliveryFacts, ItemFacts, OrderFacts, PaymentFacts, StockFacts
from shared.shell.service.registry import HandlerRegistry

CLOCK_SKEW = timedelta(minutes=1)
"""By which the clocks of two workers may differ."""
STAFF_WORKS_ON = frozenset({"waiting", "failed"})
"""Deliveries that wait for a parcel, a code or a decision: staff see them in lists of their own."""


def order_facts(key: str, order: Order) -> OrderFacts:
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
        placed=order.placed_at is not None,
        status_record=_as_read(order),
        restored=order.restored_amount,
        given=order.given,
    )


def _as_read(order: Order) -> dict[str, Any]:
    """Its status record, as a reader has it. Raises ValidationError where the order contradicts itself."""
    body = encode(status_record(order))
    OrderStatusRecord.model_validate_json(body)
    record: dict[str, Any] = orjson.loads(body)
    return record


def payment_facts(key: str, payment: Payment, ledger: Iterable[LedgerEntry]) -> PaymentFacts:
    sums: Counter[str] = Counter()
    held = 0
    for entry in ledger:
        sums[f"{entry.transaction} {entry.currency}"] += entry.amount
        held += entry.amount if entry.account != SALES else 0
    paid = payment.paying_attempt.number if payment.paying_attempt else 0
    of_surplus = [r for r in payment.refunds if r.status is RefundStatus.DONE and r.attempt != paid]
    sent_back = {attempt.number: sent_back_of(payment, attempt) for attempt in payment.attempts}
    return PaymentFacts(
        key=key,
        currency=payment.currency,
        authorised=payment.authorised,
        captured=payment.captured,
        refunded=payment.refunded,
        pending=payment.pending,
        surplus=sum(attempt.captured for attempt in payment.attempts if attempt.number != paid),
        surplus_refunded=sum(refund.amount for refund in of_surplus),
        surplus_sent_back=sum(amount for number, amount in sent_back.items() if number != paid),
        surplus_paid_elsewhere=sum(refund.amount for refund in of_surplus if refund.recorded),
        sent_back=sum(sent_back.values()),
        ledger=held,
        unbalanced=tuple(name for name, amount in sums.items() if amount),
        unresolved=payment.unresolved,
    )


def sent_back_of(payment: Payment, attempt: ChargeAttempt) -> int:
    """What is left of a charge that must be refunded because the bank sent its refund back."""
    if not payment.must_be_refunded(attempt):
        return 0
    refunds = payment.refunds_of(attempt)
    returned = sum(it.amount for it in refunds if it.status is RefundStatus.FAILED and it.reference and not it.recorded)
    return max(0, min(payment.refundable_of(attempt), returned))


def provider_refunds(payment: Payment) -> bool:
    """Whether a refund is made that the bank has yet to pay out: the provider will tell."""
    return any(refund.status is RefundStatus.PENDING and refund.reference for refund in payment.refunds)


def delivery_facts(key: str, delivery: Delivery) -> DeliveryFacts:
    delivered = [item for item in delivery.items if item.status is ItemStatus.DELIVERED and not item.is_extra]
    reached = {item.about: item.quantity for item in delivered}
    return DeliveryFacts(key, delivery.stage.value, reached)


Held = Mapping[str, tuple[int, int]]
"""Units that are reserved and taken, by stock."""


def holds_of(delivery: Delivery) -> Held:
    """What one order holds of each stock."""
    held: Counter[tuple[str, StockHold]] = Counter()
    for item in delivery.items:
        if item.holds_stock:
            held[delivery.row_key(item.sku), item.stock] += item.units_held
    names = {name for name, _ in held}
    return {name: (held[name, StockHold.RESERVED], held[name, StockHold.TAKEN]) for name in names}


def held_by(deliveries: Iterable[Delivery]) -> Held:
    """What all of them hold."""
    held: dict[str, tuple[int, int]] = {}
    for delivery in deliveries:
        for name, (reserved, taken) in holds_of(delivery).items():
            before = held.get(name, (0, 0))
            held[name] = (before[0] + reserved, before[1] + taken)
    return held


def stock_facts(stock: Mapping[str, Stock], held: Held) -> Iterator[StockFacts]:
    for key in sorted({*stock, *held}):
        row, (reserved, taken) = stock.get(key, Stock()), held.get(key, (0, 0))
        yield StockFacts(key, row.on_hand, row.reserved, row.received, reserved, taken, row.written_off)


def staff_work_on(order: Order) -> bool:
    return any(part.delivery.value in STAFF_WORKS_ON for part in order.parts)


def staff_know(log: NotificationLog, order: Order | None) -> bool:
    """Whether staff were told, and nothing has happened to the order since: then it is theirs. What happened within the
    minute by which clocks may differ is seen by what notifications was told after the alert."""
    alerts = {email.fact for email in log.emails if email.audience == "staff" and email.template != "new_order"}
    told = log.facts[-1].at if log.facts and log.facts[-1].name in alerts else None
    return log.failed or (told is not None and (order is None or order.updated_at <= told + CLOCK_SKEW))


def unreadable(service: str, table: str, key: str, wrong: Exception) -> str:
    """Without what the error says: it would show the row's data."""
    return f"{service}, {table} {key}: its data cannot be read ({type(wrong).__name__})"


def operation_task(registry: HandlerRegistry, kind: str, payload: bytes | str) -> Task:
    return _task(registry.name, registry.operations, kind, payload)


def timer_task(registry: HandlerRegistry, kind: str, payload: bytes | str) -> Task | None:
    """None: it only reminds people."""
    return None if only_reminds(registry, kind) else _task(registry.name, registry.internal, kind, payload)


def only_reminds(registry: HandlerRegistry, kind: str) -> bool:
    """Of a timer's message."""
    try:
        return bool(getattr(registry.internal[kind], "reminds", False))
    except LookupError:
        return False  # of a newer build, perhaps


def _task(service: str, kinds: TypeRegistry, kind: str, payload: bytes | str) -> Task:
    try:
        return Task(service, kind, kinds.load(kind, payload).about())
    except Exception:
        return Task(service, kind)  # of a newer build, perhaps


def row_problems(table: str, key: str, stored: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Columns of a row that say something else than its data."""
    return [
        f"{table} {key}: column {name} is {_shown(stored.get(name))}, its data says {_shown(value)}"
        for name, value in expected.items()
        if stored.get(name) != value
    ]


def _shown(value: Any) -> str:
    """Never personal data: numbers, states and times are shown, texts only by their length."""
    if isinstance(value, str) and "@" in value:
        return f"a text of {len(value)} characters"
    return "nothing" if value is None else str(value)[:80]
