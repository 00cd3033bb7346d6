"""Staff accept or decline an order that waits for approval. Only an accepted one is charged."""

from __future__ import annotations

from services.checkout.domain import submission
from services.checkout.domain.card_verification import ask_staff
from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import ApprovalDue, Order, PaymentOverdue, orders
from services.checkout.domain.payment import complete_payment, open_to_pay, request_payment
from shared.contracts.approval import AcceptOrder, DeclineOrder, OrderAccepted, OrderDeclined
from shared.contracts.providers import MANUAL
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision, Refused


@orders.on(AcceptOrder)
def accepted(order: Order, command: AcceptOrder, context: Context) -> Decision[Order] | Refused:
    if refused := _not_received(order):
        return refused
    if not order.reserved:
        return Refused("not_reserved", "Stock is not reserved yet. Try again shortly.")
    if not order.is_verified:
        return Refused("not_verified", "The customer's card is not verified. It cannot be charged.")
    change = OrderChange(order, context)
    _accept(change, command.reason)
    return change.decision()


@orders.on(ApprovalDue)
def approval_due(order: Order, timer: ApprovalDue, context: Context) -> Decision[Order]:
    """At once, unless staff or the customer were quicker. Staff decide on what they hold, and are told so."""
    change, waits = OrderChange(order, context), order.status is OrderStatus.RECEIVED
    due = waits and order.accepted_by_rule and order.reserved and order.is_verified
    if not due or order.held:
        change.received("order.accept", "To be accepted by the store's rule.", actor="system")
        if due:
            change.set(accepted_by_rule=False)
            ask_staff(change)
        return change.without_effect("staff decide it" if waits else "")
    _accept(change, by_rule=True)
    return change.decision()


def _by_hand(order: Order) -> bool:
    return submission.provider_of(order.choice, order.payment_providers) == MANUAL


def _accept(change: OrderChange, reason: str = "", *, by_rule: bool = False) -> None:
    order = change.state
    change.move_to(OrderStatus.ACCEPTED)
    change.cancel_timer(PaymentOverdue)
    change.publish(
        OrderAccepted(amount=order.purchased, currency=order.currency, reason=reason or None, by_rule=by_rule or None)
    )
    if order.purchased == 0:
        complete_payment(change)
        return
    if _by_hand(order):
        open_to_pay(change)
    request_payment(change)


@orders.on(DeclineOrder)
def declined(order: Order, command: DeclineOrder, context: Context) -> Decision[Order] | Refused:
    """Fulfillment releases the stock, and payments what it has authorised."""
    if refused := _not_received(order):
        return refused
    change = OrderChange(order, context)
    change.move_to(OrderStatus.DECLINED, command.note or None)
    change.publish(OrderDeclined(note=command.note, reason=command.reason or None))
    change.cancel_timer(PaymentOverdue)
    return change.decision()


def _not_received(order: Order) -> Refused | None:
    if order.status is OrderStatus.RECEIVED:
        return None
    return Refused("not_received", f"The order waits for no approval: it is {order.status_in_words}.")
