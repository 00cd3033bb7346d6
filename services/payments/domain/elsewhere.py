"""Orders that staff completed by hand without a payment: paid elsewhere, which the ledger gets, or given for nothing.

Either way no card pays for them any more: what is open is cancelled, and what is captured all the same goes back, also
what was captured before this is known.
"""

from __future__ import annotations

from services.payments.domain.capabilities import MANUAL
from services.payments.domain.change import PaymentChange
from services.payments.domain.charge import advance
from services.payments.domain.ended_order import ended_unrequested
from services.payments.domain.payment import AttemptStatus, ChargeAttempt, Payment, Share, payments
from services.payments.domain.refund import refund_rest, refund_surplus
from shared.contracts.order_work import OrderPaidElsewhere
from shared.core import Context, Decision


@payments.begins(OrderPaidElsewhere)
def paid_elsewhere(payment: Payment | None, fact: OrderPaidElsewhere, context: Context) -> Decision[Payment]:
    if payment and (payment.closed_as or payment.attempt(fact.attempt)):
        return Decision(payment)
    if fact.given:
        return _given(payment, context)
    items = tuple(Share(item.item, item.purchased) for item in fact.items)
    known = payment or Payment(fact.number, fact.store, MANUAL, fact.currency, items)
    change = PaymentChange(known, context)
    if paid := known.paying_attempt:
        change.update_attempt(paid, surplus=True)
    attempt = change.update_attempt(_recorded(fact, context))
    change.enter_movement("capture", fact.amount, fact.reference, fact.attempt)
    change.publish_captured(attempt)
    if paid:
        refund_surplus(change, paid)
    advance(change)
    return change.decision()


def _recorded(fact: OrderPaidElsewhere, context: Context) -> ChargeAttempt:
    return ChargeAttempt(
        number=fact.attempt,
        amount=fact.amount,
        at=context.at,
        status=AttemptStatus.CAPTURED,
        reference=fact.reference,
        authorised=fact.amount,
        captured=fact.amount,
        text=fact.note[:500],
        settled_by=fact.by,
        provider=MANUAL,
        method=fact.method or "other",
        captured_at=context.at,
    )


def _given(payment: Payment | None, context: Context) -> Decision[Payment]:
    """Without a payment nothing was requested, and what is requested later, after a restore, is not charged."""
    if payment is None:
        return Decision(ended_unrequested(context.store, "given"))
    change = PaymentChange(payment, context)
    change.set(closed_as="given")
    refund_rest(change)
    advance(change)
    return change.decision()
