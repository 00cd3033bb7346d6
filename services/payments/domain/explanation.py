"""Why an order's payment is where it is: what it waits for, and which commands would be accepted now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from services.payments.domain.payment import AttemptStatus, ChargeAttempt, Payment, Refund, RefundStatus, payments
from services.payments.domain.refund_made import waits_to_be_tried_again
from services.payments.domain.verification import Verification, VerificationStatus
from shared.contracts.payments import RecordPayment, RefundPayment, SettlePayment
from shared.contracts.values import PaymentStatus
from shared.core import Command
from shared.core.dry_run import possible
from shared.core.explanation import Explanation, Waits
from shared.core.money import Money

FOLLOWING: Mapping[PaymentStatus, tuple[PaymentStatus, ...]] = {
    PaymentStatus.PENDING: (PaymentStatus.FAILED, PaymentStatus.PAID),
    PaymentStatus.FAILED: (PaymentStatus.PAID, PaymentStatus.PENDING),
    PaymentStatus.PAID: (PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED),
    PaymentStatus.PARTIALLY_REFUNDED: (PaymentStatus.REFUNDED,),
    PaymentStatus.REFUNDED: (),
}
"""As `Payment.status` computes them. A capture is a fact whenever it is reported, so a failed one may still be paid."""


def explanation(payment: Payment, key: str, at: datetime) -> Explanation:
    latest = payment.attempts[-1] if payment.attempts else None
    return Explanation(
        state=payment.status.value,
        why=latest.text if latest and payment.status is PaymentStatus.FAILED else "",
        waits=[*_waits(payment)],
        following=[status.value for status in FOLLOWING.get(payment.status, ())],
        commands=[*possible(payments, payment, _commands(payment), key, at)],
    )


def _waits(payment: Payment) -> Iterator[Waits]:
    for verification in payment.verifications:
        yield from _of_card(verification)
    for attempt in payment.attempts:
        yield from _of_attempt(payment, attempt)
    if payment.waiting:
        yield Waits("payments", f"Begin payment attempt {payment.waiting.attempt}, once the earlier one has ended.")
    for refund in payment.refunds:
        yield from _of_refund(payment, refund)
    left = payment.owed - payment.pending
    if left and not any(_is_retried(payment, refund) for refund in payment.refunds):
        yield Waits("staff", f"Refund {Money(left, payment.currency)}, which the customer is to get.")
    for stray in payment.strays:
        if not stray.ours:
            yield Waits("staff", f"Look up {stray.reference} at the provider: it is no attempt of this order.")


def _of_card(verification: Verification) -> Iterator[Waits]:
    match verification.status:
        case VerificationStatus.VERIFYING:
            yield Waits("provider", f"Verify card {verification.number}.")
        case VerificationStatus.ACTION_REQUIRED:
            yield Waits("customer", f"Confirm card {verification.number} with the bank.")
        case VerificationStatus.CANCELLING:
            yield Waits("provider", f"Release what is held of card {verification.number}.")


def _of_attempt(payment: Payment, attempt: ChargeAttempt) -> Iterator[Waits]:
    number = attempt.number_in_checkout
    match attempt.status:
        case AttemptStatus.CHARGING:
            yield Waits("provider", f"Charge payment attempt {number}.")
        case AttemptStatus.CANCELLING:
            yield Waits("provider", f"Cancel payment attempt {number}.")
        case AttemptStatus.UNRESOLVED:
            yield Waits("staff", f"Look up payment attempt {number} at the provider, and settle it.")
        case AttemptStatus.ACTION_REQUIRED if payment.is_by_hand(attempt):
            yield Waits("customer", f"Pay {Money(attempt.amount, payment.currency)} by hand; then staff record it.")
        case AttemptStatus.ACTION_REQUIRED:
            yield Waits("customer", f"Confirm payment attempt {number} with the bank.")


def _of_refund(payment: Payment, refund: Refund) -> Iterator[Waits]:
    amount = Money(refund.amount, payment.currency)
    if refund.status is RefundStatus.UNRESOLVED:
        yield Waits("staff", f"Look up the refund of {amount} at the provider, and settle it.")
    elif refund.status is RefundStatus.PENDING and refund.by_hand:
        yield Waits("staff", f"Refund {amount} by hand, and settle it.")
    elif _is_retried(payment, refund):
        yield Waits("provider", f"Refund {amount}: it was refused, and is requested again.", refund.retry_at)
    elif refund.status is RefundStatus.PENDING:
        yield Waits("provider", f"{'Pay out' if refund.reference else 'Make'} the refund of {amount}.")


def _commands(payment: Payment) -> Iterator[Command]:
    yield RefundPayment()
    yield RecordPayment(method="bank_transfer")
    refund = next((it for it in payment.refunds if it.status is RefundStatus.UNRESOLVED or _is_by_hand(it)), None)
    if refund:
        yield SettlePayment(refund=refund.id, outcome="not_refunded", reason="An example.")
        return
    attempt = next((it for it in payment.attempts if it.status is AttemptStatus.UNRESOLVED), None)
    number = attempt.number if attempt else max([1, *(it.number for it in payment.attempts)])
    yield SettlePayment(attempt=number, outcome="not_charged", reason="An example.")


def _is_retried(payment: Payment, refund: Refund) -> bool:
    return refund.retry_at is not None and waits_to_be_tried_again(payment, refund)


def _is_by_hand(refund: Refund) -> bool:
    return refund.by_hand and refund.is_pending
