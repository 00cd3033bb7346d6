"""The order's time to pay is over: what is still open is cancelled, or ends by itself, and checkout gets an answer."""

from __future__ import annotations

from services.payments.domain.change import PaymentChange
from services.payments.domain.charge import advance
from services.payments.domain.payment import Payment, payments
from shared.contracts.checkout import OrderPaymentClosing
from shared.contracts.payments import PaymentCancelled
from shared.core import Context, Decision


@payments.on(OrderPaymentClosing)
def payment_closing(payment: Payment, closing: OrderPaymentClosing, context: Context) -> Decision[Payment]:
    """An open attempt answers when it ends. Where none is open the answer comes at once, though it is a repeated one:
    checkout asks only if it does not know it."""
    change = PaymentChange(payment, context)
    if not payment.closing:
        change.set(closing=True)
    waiting, paid = payment.waiting, payment.paying_attempt
    advance(change)
    if payment.open_attempt or waiting:
        return change.decision()
    if paid is None or payment.closed_as:  # then all is refunded, and checkout's database was restored
        change.publish(PaymentCancelled(attempt=closing.attempt))
    else:
        change.publish_captured(paid)
    return change.decision()
