"""A payment's invariants. Tests, the simulation and `orderbus check` ask the same function."""

from __future__ import annotations

from services.payments.domain.payment import AttemptStatus, Payment
from shared.core import NO_WORK, Work


def broken(payment: Payment, *, at_rest: bool = False, work: Work = NO_WORK) -> list[str]:
    """The rules that a payment breaks: the same at rest as in motion."""
    paying = [a for a in payment.attempts if a.status is AttemptStatus.CAPTURED and not a.surplus]
    charging = [a for a in payment.attempts if a.is_open]
    rules = {
        "refunded + pending ≤ captured": payment.refunded + payment.pending <= payment.captured,
        "captured ≤ authorised": payment.captured <= payment.authorised,
        "one attempt pays the order": len(paying) <= 1,
        "never two open charges": len(charging) <= 1,
        "no more is refunded than was captured": payment.refundable >= 0,
        "no item is refunded beyond its part": all(share.amount >= 0 for share in payment.refundable_shares()),
        "a refund's items are part of it": all(
            sum(share.amount for share in refund.shares) <= refund.amount for refund in payment.refunds
        ),
    }
    return [rule for rule, holds in rules.items() if not holds]
