"""What customers returned, and refunds that payments refuses though customers expect them: of what they returned, and
those that staff granted. Then staff must refund it otherwise."""

from __future__ import annotations

from services.checkout.domain.change import OrderChange
from services.checkout.domain.money_message import A_REFUND
from services.checkout.domain.order import Order, orders
from shared.contracts.delivery_work import ItemReturned
from shared.contracts.payments import PaymentsRefused, RefundPayment
from shared.core import Context, Decision

KEPT = 20
REFUSED = f"{A_REFUND}that the customer expects was refused."


@orders.on(ItemReturned)
def returned(order: Order, fact: ItemReturned, context: Context) -> Decision[Order]:
    change = OrderChange(order, context)
    if fact.refund:
        expect_refund(change, fact.refund)
    return change.decision()


def expect_refund(change: OrderChange, id: str) -> None:
    """`id`: of the command that asks payments for it."""
    known = change.state.return_refunds
    if id not in known:
        change.set(return_refunds=(*known, id)[-KEPT:])
        _compare(change)


@orders.on(PaymentsRefused)
def refused(order: Order, fact: PaymentsRefused, context: Context) -> Decision[Order]:
    """In any order with the returns."""
    change = OrderChange(order, context)
    if fact.command == RefundPayment.type:
        known = (*order.refused_refunds, (fact.command_id, fact.text[:500]))
        change.set(refused_refunds=known[-KEPT:])
        _compare(change)
    return change.decision()


def _compare(change: OrderChange) -> None:
    """What is refunded already is owed no more."""
    order, asked = change.state, change.state.return_refunds
    why = [text for id, text in order.refused_refunds if id in asked]
    if why and order.refunded < order.paid:
        left = tuple(each for each in order.refused_refunds if each[0] not in asked)
        change.set(return_refused=why[-1], message=REFUSED, refused_refunds=left)


def end_return_refused(change: OrderChange) -> None:
    """There is a refund: what staff have decided about it."""
    if change.state.return_refused:
        change.set(return_refused="")
