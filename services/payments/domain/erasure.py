"""The erasure of what a payment knows of the customer, once checkout has erased the order."""

from __future__ import annotations

from services.payments.domain.change import PaymentChange
from services.payments.domain.payment import Payment, payments
from shared.contracts.erasure import OrderErased
from shared.core import Context, Decision
from shared.core.erasure import erasure


@payments.on(OrderErased)
def erased(payment: Payment, event: OrderErased, context: Context) -> Decision[Payment]:
    change = PaymentChange(payment, context)
    change.set(erased_at=payment.erased_at or context.at)
    change.record(erasure(context))
    return change.decision()
