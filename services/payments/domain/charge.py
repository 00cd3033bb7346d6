"""Charging an order: requests, and what an order's end does to its charges.

After every change `advance` cancels what is no longer needed and begins what waits, so an order never has two open
charges.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.payments.domain.capabilities import DEFAULT, capabilities
from services.payments.domain.card_verification import cancel_verification
from services.payments.domain.change import PaymentChange
from services.payments.domain.ended_order import ended_unrequested
from services.payments.domain.operations import CancelCharge, ChargeCard
from services.payments.domain.payment import (
    AttemptStatus,
    ChargeAttempt,
    Payment,
    Share,
    payments,
)
from services.payments.domain.refund import refund_rest
from shared.contracts.approval import OrderDeclined
from shared.contracts.checkout import OrderCancelled, OrderExpired, OrderPaymentRequested
from shared.contracts.payments import PaymentCancelled, PaymentUnresolved
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision

CLOSED_AS: Mapping[type, str] = {OrderCancelled: "cancelled", OrderExpired: "expired", OrderDeclined: "declined"}
SOLD_OUT = "sold_out"
"""Of an `order.cancelled`: why."""


@payments.begins(OrderPaymentRequested)
def payment_requested(payment: Payment | None, request: OrderPaymentRequested, context: Context) -> Decision[Payment]:
    if payment and payment.ended_unrequested:
        return Decision(payment, events=[PaymentCancelled(attempt=request.attempt)])
    known = payment or Payment(
        number=request.number,
        store=request.store,
        provider=request.provider or DEFAULT,
        currency=request.currency,
        items=tuple(Share(item.item, item.purchased) for item in request.items),
    )
    if request.attempt <= _latest(known):
        return Decision(payment)
    change = PaymentChange(known, context)
    if known.waiting:
        change.publish(PaymentCancelled(attempt=known.waiting.attempt))
    more_time = request.until is not None and request.until > context.at  # a checkout of an older build gave it
    change.set(waiting=_charge(known, request, context), closing=known.closing and not more_time)
    if known.open_attempt and known.open_attempt.status is AttemptStatus.UNRESOLVED:
        text = (
            f"Attempt {known.open_attempt.number} may have been charged. This attempt waits until its outcome is known."
        )
        change.publish(PaymentUnresolved(attempt=request.attempt, text=text))
    advance(change)
    return change.decision()


@payments.begins(OrderCancelled, OrderExpired, OrderDeclined)
def order_closed(
    payment: Payment | None, closed: OrderCancelled | OrderExpired | OrderDeclined, context: Context
) -> Decision[Payment]:
    """Without a payment nothing was requested. After a restore of checkout's database the request can come behind this:
    then the row says that the order has ended."""
    closed_as = CLOSED_AS[type(closed)]
    if payment is None:
        return Decision(ended_unrequested(context.store, closed_as) if _may_be_requested(closed) else None)
    if payment.closed_as:
        return Decision(payment)
    change = PaymentChange(payment, context)
    change.set(closed_as=closed_as)
    for verification in payment.verifications:
        cancel_verification(change, verification)
    refund_rest(change)
    advance(change)
    return change.decision()


def _may_be_requested(closed: OrderCancelled | OrderExpired | OrderDeclined) -> bool:
    """Later, though the order has ended: not where it was never placed, or where nothing could be reserved."""
    if isinstance(closed, OrderExpired):
        return closed.was is not OrderStatus.CREATED
    return isinstance(closed, OrderDeclined) or closed.code != SOLD_OUT


def _latest(payment: Payment) -> int:
    waiting = payment.waiting.attempt if payment.waiting else 0
    return max([waiting, *(attempt.number for attempt in payment.requested_attempts)])


def _charge(payment: Payment, request: OrderPaymentRequested, context: Context) -> ChargeCard:
    kept = payment.kept_card if request.kept_card else None
    return ChargeCard(
        provider=request.provider or DEFAULT,
        order=context.key,
        store=request.store,
        number=request.number,
        attempt=request.attempt,
        amount=request.amount,
        currency=request.currency,
        return_url=request.return_url,
        payment_method=(kept.payment_method if kept else request.payment_method) or "",
        customer=kept.customer if kept else "",
        token=request.token or "",
        method=request.method or "",
        descriptor=request.statement_descriptor or "",
        since=request.requested_at or context.at,
        until=request.until,
    )


def advance(change: PaymentChange) -> None:
    """Cancel what is no longer needed; begin what waits, when nothing else is open."""
    payment, order = change.state, change.context.key
    if payment.supersedes_open_attempt:
        for attempt in payment.attempts:
            if attempt.status is AttemptStatus.ACTION_REQUIRED and payment.is_by_hand(attempt):
                change.update_attempt(attempt, status=AttemptStatus.CANCELLED)
                change.publish(PaymentCancelled(attempt=attempt.number))
            elif attempt.status is AttemptStatus.ACTION_REQUIRED:
                change.update_attempt(attempt, status=AttemptStatus.CANCELLING)
                provider = payment.provider_of(attempt)
                change.request(CancelCharge(provider, order, attempt.number, attempt.reference))
    waiting = payment.waiting
    if waiting is None:
        return
    nothing_open = change.state.open_attempt is None
    if payment.closed_as or payment.paying_attempt or (payment.closing and nothing_open):
        change.set(waiting=None)
        change.publish(PaymentCancelled(attempt=waiting.attempt))
    elif nothing_open:
        change.set(waiting=None)
        charges = capabilities(waiting.provider, waiting.method).charges
        change.update_attempt(
            ChargeAttempt(
                number=waiting.attempt,
                amount=waiting.amount,
                at=waiting.since or change.context.happened,
                status=AttemptStatus.CHARGING if charges else AttemptStatus.ACTION_REQUIRED,
                provider=waiting.provider,
                method=waiting.method,
            )
        )
        if charges:
            change.request(waiting)
