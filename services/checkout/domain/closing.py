"""How an order ends early: cancelled by customer, store or an empty shelf, or not paid in time."""

from __future__ import annotations

from collections.abc import Sequence

from services.checkout.domain.decisions import AbandonOver, GraceOver, changed, on_fact
from services.checkout.domain.order import Order, moved
from services.checkout.domain.timeline import Note
from shared.contracts.checkout import OrderCancelled, OrderExpired
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision, Refused, Timer
from shared.core.fast_dataclasses import replace


def close(
    order: Order,
    context: Context,
    note: Note,
    *,
    reason: str = "",
    code: str = "cancelled",
    sold_out: Sequence[str] = (),
) -> Decision[Order]:
    """Cancel. Payments gives the money back, fulfillment the stock; both listen."""
    after = moved(order, OrderStatus.CANCELLED, context.at, message=reason or None)
    event = OrderCancelled(reason=reason, code=code, sold_out=tuple(sold_out))
    note = replace(note, detail={**note.detail, "reason": reason, "code": code})
    return changed(after, context, [note], [event], cancel=[AbandonOver, GraceOver])


def refused_close(order: Order) -> Refused:
    return Refused("not_cancellable", f"The order is {order.status}; it cannot be cancelled any more.")


@on_fact(GraceOver)
def grace_over(order: Order, message: GraceOver, context: Context) -> Decision[Order]:
    """Also while a charge is under way: what is captured after this, payments gives back."""
    if order.deadline and order.deadline > context.at:
        return Decision(order, timers=[Timer(order.deadline, GraceOver())])
    if order.status is not OrderStatus.PENDING_PAYMENT:
        return Decision(order)
    return _expire(order, context, Note("order.expired", "Not paid in time.", actor="system"))


@on_fact(AbandonOver)
def abandon_over(order: Order, message: AbandonOver, context: Context) -> Decision[Order]:
    if order.status is not OrderStatus.CREATED:
        return Decision(order)
    text = "The checkout was left open and never submitted."
    return _expire(order, context, Note("order.expired", text, actor="system"))


def _expire(order: Order, context: Context, note: Note) -> Decision[Order]:
    after = moved(order, OrderStatus.EXPIRED, context.at, message=note.text)
    return changed(after, context, [note], [OrderExpired(was=order.status)], cancel=[AbandonOver, GraceOver])
