"""A payment's invariants. Tests, the simulation and `orderbus check` ask the same function."""

from __future__ import annotations

from services.payments.domain.change import cards_to_forget
from services.payments.domain.operations import (
    CancelCharge,
    ChargeCard,
    ChargeCheckDue,
    FindCharge,
    FindRefund,
    RefundCharge,
    RefundCheckDue,
    RetryRefund,
)
from services.payments.domain.payment import AttemptStatus, ChargeAttempt, Payment, Refund, RefundStatus
from services.payments.domain.verification import (
    FindVerification,
    ForgetCard,
    ForgetDue,
    ReleaseDue,
    ReleaseVerification,
    VerificationCheckDue,
    VerificationStatus,
    VerifyCard,
)
from shared.core import NO_WORK, Work

CHECKS_CHARGE, CHECKS_REFUND = (FindCharge, ChargeCheckDue), (FindRefund, RefundCheckDue)


def broken(payment: Payment, *, at_rest: bool = False, work: Work = NO_WORK) -> list[str]:
    """The rules that a payment breaks. `at_rest`: nothing but `work` should be in progress."""
    paying = [a for a in payment.attempts if a.status is AttemptStatus.CAPTURED and not a.surplus]
    charging = [a for a in payment.attempts if a.is_open]
    rules = {
        "refunded + pending ≤ captured": payment.refunded + payment.pending <= payment.captured,
        "captured ≤ authorised": payment.captured <= payment.authorised,
        "one attempt pays the order": len(paying) <= 1,
        "never two open charges": len(charging) <= 1,
        "after the time to pay no attempt waits for the customer": not payment.closing
        or not any(a.status is AttemptStatus.ACTION_REQUIRED for a in payment.attempts),
        "no more is refunded than was captured": payment.refundable >= 0,
        "no item is refunded beyond its part": all(share.amount >= 0 for share in payment.refundable_shares()),
        "a refund's items are part of it": all(
            sum(share.amount for share in refund.shares) <= refund.amount for refund in payment.refunds
        ),
    }
    if at_rest:
        rules["a charge in progress has its call"] = all(_may_end(attempt, work) for attempt in payment.attempts)
        rules["what a verification holds is being released"] = all(
            not (it.held or it.status is VerificationStatus.CANCELLING)
            or work.to_come("payments", (ReleaseVerification, ReleaseDue), str(it.number))
            for it in payment.verifications
        )
        rules["a kept card that is not needed any more is being forgotten"] = not cards_to_forget(payment) and all(
            it.forgotten or not it.forgetting or work.to_come("payments", (ForgetCard, ForgetDue), str(it.number))
            for it in payment.verifications
        )
        rules["a card that is being verified has its call"] = all(
            it.status is not VerificationStatus.VERIFYING
            or work.to_come("payments", (VerifyCard, FindVerification, VerificationCheckDue), str(it.number))
            for it in payment.verifications
        )
        rules["a refund in progress has its call"] = all(_may_be_made(refund, work) for refund in payment.refunds)
    return [rule for rule, holds in rules.items() if not holds]


def _may_end(attempt: ChargeAttempt, work: Work) -> bool:
    """Whether what ends it is under way, should it be for us to end it: the customer confirms, and the provider reports
    what it is still processing."""
    kinds: tuple[type, ...]
    match attempt.status:
        case AttemptStatus.CHARGING if not attempt.reference:
            kinds = (ChargeCard, *CHECKS_CHARGE)
        case AttemptStatus.CANCELLING:
            kinds = (CancelCharge,)
        case AttemptStatus.UNRESOLVED:
            kinds = CHECKS_CHARGE
        case _:
            return True
    return work.to_come("payments", kinds, str(attempt.number))


def _may_be_made(refund: Refund, work: Work) -> bool:
    """The same of a refund: the provider reports when the bank has paid it out."""
    match refund.status:
        case RefundStatus.PENDING if not refund.reference and not refund.by_hand:
            return work.to_come("payments", (RefundCharge, RetryRefund), refund.id)
        case RefundStatus.UNRESOLVED:
            return work.to_come("payments", CHECKS_REFUND, refund.id)
    return True
