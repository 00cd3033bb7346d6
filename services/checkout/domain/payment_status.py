"""The payment status, as the sums of the order say."""

from __future__ import annotations

from services.checkout.domain.order import Order
from shared.contracts.values import PaymentStatus

CONTESTED = (PaymentStatus.DISPUTED, PaymentStatus.CHARGED_BACK)
"""The bank decides: refunds change nothing of it, until all is refunded."""


def after_refunds(order: Order) -> PaymentStatus:
    """Of a paid order, once its refunds are counted."""
    if order.refunded and order.refunded == order.paid:
        return PaymentStatus.REFUNDED
    if order.payment_status in CONTESTED:
        return order.payment_status
    return PaymentStatus.PARTIALLY_REFUNDED if order.refunded else PaymentStatus.PAID
