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
from shared.core.fast_dataclasses import replace

GIVEN = "given"


@payments.begins(OrderPaidElsewhere)
def paid_elsewhere(payment: Payment | None, fact: OrderPaidElsewhere, context: Context) -> Decision[Payment]:
    if payment and (payment.attempt(fact.attempt) or (fact.given and payment.closed_as)):
        return Decision(payment)
    if fact.given:
        return _given(payment, context)
    if payment and payment.closed_as not in ("", GIVEN):
        return _after_the_end(payment, fact, context)
    change = PaymentChange(_known(payment, fact), context)
    change.set(closed_as="")
    known = change.state
    if paid := known.paying_attempt:
        change.update_attempt(paid, surplus=True)
    attempt = change.update_attempt(_recorded(fact, context))
    change.enter_movement("capture", fact.amount, fact.reference, fact.attempt)
    change.publish_captured(attempt)
    if paid:
        refund_surplus(change, paid)
    advance(change)
    return change.decision()


def _known(payment: Payment | None, fact: OrderPaidElsewhere) -> Payment:
    """Of an order that ended before its payment was requested, only the end was known."""
    if payment and not payment.ended_unrequested:
        return payment
    items = tuple(Share(item.item, item.purchased) for item in fact.items)
    if payment is None:
        return Payment(fact.number, fact.store, MANUAL, fact.currency, items)
    return replace(payment, number=fact.number, store=fact.store, provider=MANUAL, currency=fact.currency, items=items)


def _after_the_end(payment: Payment, fact: OrderPaidElsewhere, context: Context) -> Decision[Payment]:
    """Checkout's database was restored, and does not know that the order was cancelled or has expired. The money is
    there: it is entered, and staff refund it in the way in which it came."""
    change = PaymentChange(_known(payment, fact), context)
    earlier = change.state.paying_attempt
    attempt = change.update_attempt(replace(_recorded(fact, context), surplus=earlier is not None))
    change.enter_movement("capture", fact.amount, fact.reference, fact.attempt)
    change.publish_captured(attempt)
    if earlier:
        refund_surplus(change, attempt)
    else:
        refund_rest(change)
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
        return Decision(ended_unrequested(context.store, GIVEN))
    change = PaymentChange(payment, context)
    change.set(closed_as=GIVEN)
    refund_rest(change)
    advance(change)
    return change.decision()
