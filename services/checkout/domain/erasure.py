"""The erasure of what an order knows of its customer. Amounts, items, times, and what sums by country, source and offer
are made of, stay."""

from __future__ import annotations

from datetime import timedelta

from services.checkout.domain.change import OrderChange
from services.checkout.domain.expiry import NOT_SUBMITTED, expire
from services.checkout.domain.order import ChargeState, Order, orders
from services.checkout.domain.person import OrderKept
from services.checkout.domain.status import ENDED
from shared.contracts.erasure import EraseCustomer, OrderErased
from shared.contracts.values import VOID, OrderStatus, PaymentStatus
from shared.core import Context, Decision, Refused
from shared.core.erasure import erasure

TRIED_AGAIN = timedelta(days=1)
TEXT = "The customer's personal data is erased."


@orders.on(EraseCustomer)
def erase(order: Order, command: EraseCustomer, context: Context) -> Decision[Order] | Refused:
    """Once more, it is erased once more: what came since, too."""
    if refused := why_not(order):
        return refused
    return _erased(order, context)


@orders.on(OrderKept)
def kept_long_enough(order: Order, timer: OrderKept, context: Context) -> Decision[Order]:
    """What refuses it now is over one day."""
    if order.erased_at is None and why_not(order) is None:
        return _erased(order, context)
    change = OrderChange(order, context)
    change.received(EraseCustomer.type, "The customer's personal data was kept long enough.")
    if order.erased_at is not None:
        return change.without_effect("it is erased already")
    change.timer(context.at + TRIED_AGAIN, OrderKept())
    return change.without_effect("it is looked at again tomorrow, for something is still open")


def _erased(order: Order, context: Context) -> Decision[Order]:
    change = OrderChange(order, context)
    if order.status is OrderStatus.CREATED:
        expire(change, NOT_SUBMITTED)
    change.set(erased_at=order.erased_at or context.at)
    change.cancel_timer(OrderKept)
    change.publish(OrderErased(number=order.number, store=order.store.id))
    change.note(EraseCustomer.type, TEXT)
    change.record(erasure(context))
    return change.decision()


def why_not(order: Order) -> Refused | None:
    if order.status not in ENDED | {OrderStatus.CREATED}:
        return Refused("under_way", f"The order is {order.status_in_words}. Erase it once it has ended.")
    if order.charge is not ChargeState.NONE or order.under_way or order.asked:
        return Refused("under_way", "A charge, a delivery or a request of the customer is still open.")
    if order.payment_status is PaymentStatus.DISPUTED:
        return Refused("disputed", "The payment is disputed: the customer's data is needed as evidence.")
    if order.status in VOID and order.paid > order.refunded + order.restored_amount:
        return Refused("money_owed", "The customer is owed money. Erase the order once it is refunded.")
    return None
