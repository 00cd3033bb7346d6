"""Whose charge a provider's report is about. Anyone who uses the account can write our metadata into a charge.

A report counts for an attempt only if reference (or, before it is known, our key), amount, currency and store agree.
What we made and is too much is refunded. A captured charge that we did not make is recorded, told to staff once, and
never refunded by us.
"""

from __future__ import annotations

from services.payments.domain.change import FIRST_CHECK, LONGEST_WAIT, PaymentChange
from services.payments.domain.operations import ChargeResult, SurplusDue, charge_key
from services.payments.domain.payment import MORE_EXTRAS, AttemptStatus, ChargeAttempt, Payment, StrayCharge, payments
from services.payments.domain.refund import refund_surplus
from services.payments.domain.refund_result import enter_early_refunds
from shared.contracts.payments import PaymentStrayCharge
from shared.core import Context, Decision
from shared.core.waits import growing_wait


def is_ours(payment: Payment, order: str, number: int, result: ChargeResult) -> bool:
    """Whether we made this charge, for the attempt with this number, which need not exist."""
    attempt = payment.attempt(number)
    if not result.currency:
        return attempt is not None  # an older build's report
    if attempt and attempt.settled_by and result.reference == attempt.reference:
        return True  # staff named it: the settlement is compared with it
    amount = attempt.amount if attempt else sum(item.amount for item in payment.items)
    if attempt and result.reference == attempt.reference:
        store = result.store and payment.store  # staff may have named one that was made by hand
        return result.is_for(amount, payment.currency, store, "", may_lack_key=True)
    # A worker of an older build may have charged it, without a key.
    may_lack_key = result.status == "succeeded" and attempt is not None and not attempt.reference
    key = charge_key(order, number)
    return result.is_for(amount, payment.currency, payment.store, key, may_lack_key=may_lack_key)


def record_stray(change: PaymentChange, number: int, result: ChargeResult, *, ours: bool) -> None:
    """Keep a captured charge that is no known attempt's, once. Our own may be an attempt's that comes later."""
    payment = change.state
    known = {attempt.reference for attempt in payment.attempts} | {stray.reference for stray in payment.strays}
    if result.status != "succeeded" or result.reference in known:
        return
    stray = StrayCharge(
        result.reference,
        number,
        result.amount or result.requested,
        result.currency or payment.currency,
        change.context.at,
        ours,
    )
    change.set(strays=(*payment.strays, stray))
    if ours:
        look_again(change, stray, 1)
        return
    change.publish(
        PaymentStrayCharge(attempt=number, amount=stray.amount, currency=stray.currency, transaction=stray.reference)
    )


def look_again(change: PaymentChange, stray: StrayCharge, tries: int) -> None:
    wait = growing_wait(FIRST_CHECK, LONGEST_WAIT, tries)
    change.timer(change.context.at + wait, SurplusDue(stray.reference, tries), f"surplus_{stray.reference}")


@payments.on(SurplusDue)
def surplus_due(payment: Payment, due: SurplusDue, context: Context) -> Decision[Payment]:
    change = PaymentChange(payment, context)
    stray = next((stray for stray in payment.strays if stray.reference == due.reference), None)
    if stray is None:
        return Decision(payment)
    attempt = payment.attempt(stray.attempt)
    if attempt and attempt.is_open:
        look_again(change, stray, due.tries + 1)
        return change.decision()
    forget_stray(change, stray.reference)
    if not any(attempt.reference == stray.reference for attempt in payment.attempts):
        capture_extra(change, stray.attempt, stray.reference, stray.amount)
    return change.decision()


def forget_stray(change: PaymentChange, reference: str) -> None:
    """It turned out to be an attempt's."""
    strays = change.state.strays
    if any(stray.reference == reference for stray in strays):
        change.set(strays=tuple(stray for stray in strays if stray.reference != reference))


def _next_extra(payment: Payment) -> int:
    numbers = [attempt.number for attempt in payment.attempts if attempt.extra_of]
    return max([MORE_EXTRAS - 1, *numbers]) + 1 if numbers else 0


def capture_extra(change: PaymentChange, number: int, reference: str, amount: int) -> None:
    """Enter a second capture of an attempt, or one of an attempt that does not exist, and refund it."""
    payment = change.state
    if any(attempt.reference == reference for attempt in payment.attempts):
        return
    named = payment.attempt(number)
    extra = change.update_attempt(
        ChargeAttempt(
            number=_next_extra(payment),
            amount=amount,
            at=change.context.at,
            status=AttemptStatus.CAPTURED,
            reference=reference,
            authorised=amount,
            captured=amount,
            card=named.card if named else None,
            surplus=True,
            provider=payment.provider_of(named),
            method=named.method if named else "",
            extra_of=number,
        )
    )
    change.enter_movement("capture", amount, reference, extra.number)
    enter_early_refunds(change, extra)
    refund_surplus(change, extra)
