"""Orders that expire: not submitted, or not paid, in time. What is open at the provider when the time to pay ends is
looked at once more, so that an order that was paid meanwhile is paid.

    time is over ──► order.payment_closing ──► payment.captured                       ──► paid
    (a charge is open)                     └─► payment.cancelled or payment.declined  ──► expired
"""

from __future__ import annotations

from datetime import timedelta

from services.checkout.domain.card_verification import end_unverified
from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import (
    ChargeState,
    FailedPaymentOverdue,
    Order,
    PaymentOverdue,
    SubmissionOverdue,
    orders,
)
from services.checkout.domain.reminders import cancel_reminders
from shared.contracts.checkout import OrderExpired, OrderPaymentClosing
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision, Timer
from shared.core.waits import growing_wait

FIRST_REMINDER, LONGEST_REMINDER = timedelta(hours=1), timedelta(days=1)
"""Payments is asked again for as long as it does not answer: a worker of an older build skips the question. The wait is
doubled each time."""
NOT_PAID = "Not paid in time."
NOT_SUBMITTED = "The checkout was not submitted in time."
TIME_IS_OVER = "The time to pay is over. The payment is being checked with the payment provider."
COMPLETING = "Staff complete it by hand, once the open payment is cancelled."


@orders.on(PaymentOverdue, FailedPaymentOverdue)
def payment_overdue(order: Order, timer: PaymentOverdue | FailedPaymentOverdue, context: Context) -> Decision[Order]:
    if order.completion is None and order.deadline and order.deadline > context.at:
        return Decision(order, timers=[Timer(order.deadline, timer, PaymentOverdue.__name__)])
    if order.status is OrderStatus.RECEIVED:
        return end_unverified(order, context)
    change = OrderChange(order, context)
    waits = order.status is OrderStatus.PENDING_PAYMENT or order.payment_failed
    if not waits and order.completion is None:
        change.received("order.payment_overdue", "The time to pay is over.")
        return change.without_effect()
    if order.charge is ChargeState.NONE:
        expire(change, NOT_PAID)
    else:
        ask_payments(change, COMPLETING if order.completion else TIME_IS_OVER)
    return change.decision()


def ask_payments(change: OrderChange, text: str) -> None:
    """How what is open at the provider ends. `text`: what staff see meanwhile."""
    asked = change.state.closing
    change.set(closing=asked + 1, pay_url=None, message=text)
    by_hand = change.state.completion is not None or None
    change.publish(OrderPaymentClosing(attempt=change.state.attempts, by_hand=by_hand))
    wait = growing_wait(FIRST_REMINDER, LONGEST_REMINDER, asked + 1)
    change.timer(change.context.at + wait, PaymentOverdue())


@orders.on(SubmissionOverdue)
def submission_overdue(order: Order, timer: SubmissionOverdue, context: Context) -> Decision[Order]:
    change = OrderChange(order, context)
    if order.status is not OrderStatus.CREATED:
        change.received("order.submission_overdue", "The time to submit the checkout is over.")
        return change.without_effect()
    expire(change, NOT_SUBMITTED)
    return change.decision()


def expire(change: OrderChange, why: str) -> None:
    was = change.state.status
    change.move_to(OrderStatus.EXPIRED, why)
    change.publish(OrderExpired(was=was))
    change.cancel_timer(SubmissionOverdue, PaymentOverdue)
    cancel_reminders(change)
