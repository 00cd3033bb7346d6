"""What always holds of an order. Tests, the simulation and `orderbus check` ask these."""

from __future__ import annotations

from services.checkout.domain.order import CLOSED, UNPAID, Charge, Order
from shared.contracts.values import DeliveryStatus, OrderStatus, PaymentStatus

S = OrderStatus


def broken(order: Order, *, at_rest: bool = False) -> list[str]:
    """The rules that one order breaks, in words. `at_rest`: no message is under way any more."""
    rules = _rules(order) | (_rules_at_rest(order) if at_rest else {})
    return [rule for rule, holds in rules.items() if not holds]


def _rules(order: Order) -> dict[str, bool]:
    status, lines = order.status, order.lines
    return {
        "refunded ≤ paid ≤ purchased ≤ total": 0 <= order.refunded <= order.paid <= order.purchased <= order.total,
        "total = subtotal + tax": order.total == order.subtotal + order.tax,
        "purchased = total - discounts": order.purchased == order.total - sum(d.amount for d in order.discounts),
        "the taxes sum to the tax": order.tax == sum(tax.amount for tax in order.taxes),
        "the lines sum to the subtotal": order.subtotal == sum(line.item.line_total for line in lines),
        "the lines' parts sum to what is purchased": order.purchased == sum(line.item.purchased for line in lines),
        "no line is refunded beyond its part": all(0 <= x.refunded <= x.item.purchased for x in lines),
        "the refunds sum to what is refunded": order.refunded == sum(refund.amount for refund in order.refunds),
        "an order is placed once submitted": (order.placed_at is not None) == bool(lines),
        "what is delivered is paid": status not in (S.PROCESSING, S.COMPLETED, S.FAILED) or order.paid_at is not None,
        "an unpaid order says nothing is paid": status not in UNPAID or order.payment_status is not PaymentStatus.PAID,
        "an order that waits for payment has an end": (order.deadline is None) == (status is not S.PENDING_PAYMENT),
        "a closed order has its time": (order.closed_at is not None) == (status in CLOSED),
        "a charge is only asked for reserved stock": order.attempts == 0 or order.reserved,
        "a closed order keeps no way to pay": status not in CLOSED or (order.choice is None and order.pay_url is None),
        "a closed order keeps no instructions": status not in CLOSED or not any(line.instructions for line in lines),
    }


def _rules_at_rest(order: Order) -> dict[str, bool]:
    status = order.status
    moving = [line for line in order.lines if line.delivery is DeliveryStatus.PENDING and not line.refunded_whole]
    ended = status in (S.CANCELLED, S.EXPIRED)
    return {
        "no charge is under way at rest": status is not S.PENDING_PAYMENT or order.charge is not Charge.UNDER_WAY,
        "the stock question is answered at rest": status is not S.PENDING_PAYMENT or order.reserved,
        "the money of a cancelled or expired order went back": not ended or order.refunded == order.paid,
        "no item of a paid order is forgotten": status is not S.PROCESSING or not moving,
        "the customer knows of everything delivered": not any(line.instructions for line in order.lines),
    }
