"""What money says about an order, until that is over."""

from __future__ import annotations

from services.checkout.domain.change import OrderChange
from services.checkout.domain.delivery import demanded_status as demanded
from shared.contracts.values import VOID

A_REFUND = "A refund "
"""So begins the message of one that failed, that came back or that was refused."""
CHECKED = "The payment is being checked with the payment provider."
OTHER_AMOUNT = " captured, but the order amount is "


def end_check(change: OrderChange) -> None:
    """The result of a charge is there."""
    if change.state.message == CHECKED:
        _end(change)


def end_refund_message(change: OrderChange) -> None:
    """A refund was made, or settled."""
    order, said = change.state, change.state.message or ""
    still_owed = order.status in VOID and order.refunded < order.paid
    if said == CHECKED or OTHER_AMOUNT in said or (said.startswith(A_REFUND) and not still_owed):
        _end(change)


def _end(change: OrderChange) -> None:
    """The order says again what its items demand."""
    order = change.state
    status, message = demanded(order, 1)
    change.set(message=message if status is order.status else None)
