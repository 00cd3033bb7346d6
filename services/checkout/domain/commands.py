"""What staff ask of an order."""

from __future__ import annotations

from services.checkout.domain.closing import close, refused_close
from services.checkout.domain.decisions import Answer, changed, on_command
from services.checkout.domain.delivering import UNDER_WAY, tell
from services.checkout.domain.order import Order, moved
from services.checkout.domain.timeline import Note
from shared.contracts.checkout import CancelOrder, CompleteOrder, OrderCompleted
from shared.contracts.values import OrderStatus
from shared.core import Context, Refused


@on_command(CancelOrder)
def cancel(order: Order, message: CancelOrder, context: Context) -> Answer:
    if not order.may_become(OrderStatus.CANCELLED):
        return refused_close(order)
    return close(order, context, Note(message.type, "Cancelled."), reason=message.reason)


@on_command(CompleteOrder)
def complete(order: Order, message: CompleteOrder, context: Context) -> Answer:
    """By hand, whatever is left to deliver. What is under way goes on."""
    if order.status not in UNDER_WAY:
        return Refused("not_completable", f"The order is {order.status}; only a paid order can be completed.")
    after, told = tell(moved(order, OrderStatus.COMPLETED, context.at))
    note = Note(message.type, "Completed by hand.", {"note": message.note})
    return changed(after, context, [note], [*told, OrderCompleted(by_hand=True)])
