"""An order that ends early: cancelled by customer, store or lack of stock, or expired for lack of payment."""

from __future__ import annotations

from collections.abc import Sequence

from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import Order, PaymentOverdue, SubmissionOverdue, orders
from shared.contracts.checkout import CancelOrder, OrderCancelled, OrderExpired
from shared.contracts.storefront import CheckoutAbandoned
from shared.contracts.values import UNPAID, OrderStatus
from shared.core import Context, Decision, Refused, Timer


@orders.on(CheckoutAbandoned)
def abandoned(order: Order, command: CheckoutAbandoned, context: Context) -> Decision[Order] | Refused:
    if order.status not in UNPAID:
        return _not_cancellable(order)
    return _cancelled(order, command, context, "The customer abandoned the checkout.", "abandoned")


@orders.on(CancelOrder)
def cancelled(order: Order, command: CancelOrder, context: Context) -> Decision[Order] | Refused:
    if not order.may_become(OrderStatus.CANCELLED):
        return _not_cancellable(order)
    return _cancelled(order, command, context, "Order cancelled.", "cancelled")


def _not_cancellable(order: Order) -> Refused:
    return Refused("not_cancellable", f"The order is {order.status_in_words} and can no longer be cancelled.")


def _cancelled(
    order: Order, command: CheckoutAbandoned | CancelOrder, context: Context, text: str, code: str
) -> Decision[Order]:
    change = OrderChange(order, context)
    change.note(command.type, text, reason=command.reason, code=code)
    cancel(change, reason=command.reason, code=code)
    return change.decision()


def cancel(change: OrderChange, *, reason: str = "", code: str = "cancelled", sold_out: Sequence[str] = ()) -> None:
    """Payments refunds the money and fulfillment releases the stock when they read the event."""
    change.move_to(OrderStatus.CANCELLED, reason or None)
    change.publish(OrderCancelled(reason=reason, code=code, sold_out=tuple(sold_out)))
    change.cancel_timer(SubmissionOverdue, PaymentOverdue)


@orders.on(PaymentOverdue)
def payment_overdue(order: Order, timer: PaymentOverdue, context: Context) -> Decision[Order]:
    """Also while a charge is in progress: payments refunds what is captured later."""
    if order.deadline and order.deadline > context.at:
        return Decision(order, timers=[Timer(order.deadline, PaymentOverdue())])
    if order.status is not OrderStatus.PENDING_PAYMENT:
        return Decision(order)
    return _expired(order, context, "Not paid in time.")


@orders.on(SubmissionOverdue)
def submission_overdue(order: Order, timer: SubmissionOverdue, context: Context) -> Decision[Order]:
    if order.status is not OrderStatus.CREATED:
        return Decision(order)
    return _expired(order, context, "The checkout was not submitted in time.")


def _expired(order: Order, context: Context, why: str) -> Decision[Order]:
    change = OrderChange(order, context)
    change.move_to(OrderStatus.EXPIRED, why)
    change.publish(OrderExpired(was=order.status))
    change.cancel_timer(SubmissionOverdue, PaymentOverdue)
    change.note("order.expired", why, actor="system")
    return change.decision()
