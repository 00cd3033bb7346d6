"""What an order, its payment and its deliveries add to the sums by day that reports are made of.

What is bought counts on the day on which it was paid, with all that happened to it later: of a day's orders, so many
are completed by now, and so much of their money was refunded. What moves money, and what fails, counts on the day on
which it did so.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from shared.contracts.delivery_status import DeliveryStatusRecord, ExecutionState
from shared.contracts.order_status import OrderStatusRecord
from shared.contracts.payment_status import PaymentStatusRecord
from shared.contracts.values import PaymentStatus
from shared.core.day_sums import MAX_VALUE, Adds

DURATIONS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "longer": timedelta.max,
}
"""From the payment to the completion: less than so long."""
RECORDED, MOVED = "recorded", "provider"
"""Refunds for which the provider moved no money, and those for which it did."""


def of_order(record: OrderStatusRecord) -> dict[str, Any] | None:
    adds = Adds(record.store, record.currency)
    about = {
        "orders": "",
        "country": record.country or "",
        "source": record.source or "",
        "offer": record.offer or "",
    }
    adds.add(record.created_at, about, opened=1)
    adds.add(record.placed_at, about, placed=1)
    paid_at = record.paid_at
    if paid_at is None:
        return adds.as_json()
    completed_at = record.completed_at
    adds.add(
        *(paid_at, about),
        paid=1,
        sales=record.purchased if record.paid is None else record.paid,
        refunded=record.refunded,
        completed=int(completed_at is not None),
        seconds=_seconds(paid_at, completed_at) if completed_at else 0,
        disputed=int(record.payment_status is PaymentStatus.DISPUTED),
        charged_back=int(record.payment_status is PaymentStatus.CHARGED_BACK),
    )
    if completed_at:
        adds.add(paid_at, {"duration": duration_of(paid_at, completed_at)}, completed=1)
    for item in record.items:
        about = {"delivery_charge" if item.is_delivery_charge else "product": item.sku}
        adds.add(paid_at, about, units=item.quantity, sales=item.purchased, refunded=item.refunded)
    return adds.as_json()


def duration_of(paid_at: datetime, completed_at: datetime) -> str:
    took = completed_at - paid_at
    return next(name for name, limit in DURATIONS.items() if took < limit)


def _seconds(paid_at: datetime, completed_at: datetime) -> int:
    """Clocks of two workers may differ: never less than none."""
    return max(0, (completed_at - paid_at) // timedelta(seconds=1))


def of_payment(record: PaymentStatusRecord) -> dict[str, Any] | None:
    """What was captured once more for an attempt is money, and no further attempt."""
    adds = Adds(record.store, record.currency)
    providers: dict[int, tuple[str, str]] = {}
    paid: set[int] = set()
    for attempt in record.attempts:
        first = attempt.attempt not in providers
        captured = attempt.captured > 0 and attempt.attempt not in paid
        if captured:
            paid.add(attempt.attempt)
        providers[attempt.attempt] = provider, method = attempt.provider, attempt.method or ""
        adds.add(
            *(attempt.at, {"provider": provider, "method": f"{provider}/{method}"}),
            attempts=int(first),
            paid=int(captured),
            declined=int(first and attempt.status == "declined"),
            sales=attempt.captured,
        )
    for refund in record.refunds:
        if refund.status == "done":
            provider, method = providers.get(refund.attempt, ("", ""))
            about = {"provider": provider, "method": f"{provider}/{method}"}
            about |= {"refund": RECORDED if refund.recorded else MOVED, "reason": refund.reason}
            adds.add(refund.at, about, refunds=1, refunded=refund.amount)
    return adds.as_json()


def of_delivery(record: DeliveryStatusRecord, failed: Iterable[ExecutionState]) -> dict[str, Any] | None:
    """A failure counts when its latest attempt was made; one without attempts, when its record last changed."""
    adds = Adds(record.store[:MAX_VALUE])
    for execution in failed:
        at = execution.attempts[-1].at if execution.attempts else record.updated_at
        kind = execution.kind or ""
        about = {"failed_kind": kind, "failed_reason": f"{kind[:30]}/{execution.code or ''}"}
        adds.add(at, about, failures=1)
    return adds.as_json()
