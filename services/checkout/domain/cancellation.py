"""An order that ends early: cancelled by customer, store or lack of stock."""

from __future__ import annotations

from collections.abc import Sequence

from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import Order, PaymentOverdue, SubmissionOverdue, orders
from services.checkout.domain.reminders import cancel_reminders
from shared.contracts.checkout import CancelOrder, OrderCancelled
from shared.contracts.storefront import CheckoutAbandoned
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision, Refused


@orders.on(CheckoutAbandoned)
def abandoned(order: Order, command: CheckoutAbandoned, context: Context) -> Decision[Order] | Refused:
    if not order.is_unpaid or order.status is OrderStatus.ACCEPTED:  # it is being charged
        return not_cancellable(order)
    return _cancelled(order, command, context, "abandoned")


@orders.on(CancelOrder)
def cancelled(order: Order, command: CancelOrder, context: Context) -> Decision[Order] | Refused:
    if not order.may_become(OrderStatus.CANCELLED):
        return not_cancellable(order)
    return _cancelled(order, command, context, "cancelled")


def not_cancellable(order: Order) -> Refused:
    return Refused("not_cancellable", f"The order is {order.status_in_words} and can no longer be cancelled.")


def _cancelled(order: Order, command: CheckoutAbandoned | CancelOrder, context: Context, code: str) -> Decision[Order]:
    change = OrderChange(order, context)
    cancel(change, reason=command.reason, code=code)
    return change.decision()


def cancel(change: OrderChange, *, reason: str = "", code: str = "cancelled", sold_out: Sequence[str] = ()) -> None:
    """Payments refunds the money and fulfillment releases the stock when they read the event."""
    change.move_to(OrderStatus.CANCELLED, reason or None)
    change.publish(OrderCancelled(reason=reason, code=code, sold_out=tuple(sold_out)))
    change.cancel_timer(SubmissionOverdue, PaymentOverdue)
    cancel_reminders(change)
