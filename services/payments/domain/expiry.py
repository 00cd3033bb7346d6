"""The order's time to pay is over: what is still open is cancelled, or ends by itself, and checkout gets an answer."""

from __future__ import annotations

from services.payments.domain.change import PaymentChange
from services.payments.domain.charge import advance
from services.payments.domain.payment import ChargeAttempt, Payment, payments
from shared.contracts.checkout import OrderPaymentClosing
from shared.contracts.payments import PaymentCancelled, PaymentCaptured
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
    if paid is None:
        change.publish(PaymentCancelled(attempt=closing.attempt))
    elif not payment.closed_as:
        change.publish(_captured(change, paid))
    return change.decision()


def _captured(change: PaymentChange, paid: ChargeAttempt) -> PaymentCaptured:
    payment = change.state
    return PaymentCaptured(
        attempt=paid.number,
        amount=paid.captured,
        currency=payment.currency,
        provider=payment.provider,
        transaction=paid.reference,
        card=paid.card,
        captured_at=change.context.at,
    )
