"""Payments by hand: the customer pays by bank transfer or in cash, and staff record it.

Such an attempt waits as one that the customer has to confirm. A payment that is recorded after the order's end, or
after another attempt has paid, is refunded as any other: by hand.
"""

from __future__ import annotations

from services.payments.domain.change import PaymentChange
from services.payments.domain.charge_result import settle_attempt
from services.payments.domain.operations import ChargeResult
from services.payments.domain.payment import ChargeAttempt, Payment, payments
from shared.contracts.payments import PaymentSettled, RecordPayment
from shared.core import Context, Decision, Problem, Refused
from shared.core.money import Money


@payments.on(RecordPayment)
def payment_recorded(payment: Payment, command: RecordPayment, context: Context) -> Decision[Payment] | Refused:
    attempt = _waiting(payment)
    if attempt is None:
        return Refused("not_awaited", "The order waits for no manual payment, or its payment is recorded already.")
    if command.amount not in (None, attempt.amount):
        due, given = Money(attempt.amount, payment.currency), Money(command.amount or 0, payment.currency)
        text = f"The amount does not match: {due} is due, {given} was given."
        return Refused("wrong_amount", text, [Problem(field="amount", code="wrong_amount", text=text)])
    change = PaymentChange(payment, context)
    how = command.method.replace("_", " ")
    change.publish(
        PaymentSettled(
            attempt=attempt.number,
            outcome="captured",
            reference=command.reference,
            reason=f"Paid by hand: {how}. {command.note}".strip(),
        )
    )
    attempt = change.update_attempt(attempt, method=command.method)
    settle_attempt(change, attempt, ChargeResult(command.reference, "succeeded", attempt.amount))
    return change.decision()


def _waiting(payment: Payment) -> ChargeAttempt | None:
    """The latest attempt by hand, also one that was cancelled: what is recorded was paid."""
    by_hand = (attempt for attempt in reversed(payment.attempts) if payment.is_by_hand(attempt))
    latest = next(by_hand, None)
    return latest if latest and not latest.captured else None
