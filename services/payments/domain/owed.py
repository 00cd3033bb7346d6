"""What is owed of a payment, part by part, and what each part waits for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from services.payments.domain.payment import ChargeAttempt, Payment, Refund, RefundStatus
from services.payments.domain.refund_made import waits_to_be_tried_again
from shared.core.fast_enums import StrEnum


class ObligationStatus(StrEnum):
    OWED = "owed"
    """Nothing is under way: it waits for its next try, or for staff."""
    SENT = "sent"
    """The provider is asked for it until it answers."""
    PENDING = "pending"
    """The provider has accepted it; the bank has not paid it out."""
    BY_HAND = "by_hand"
    """Staff make it, then settle it."""
    UNKNOWN = "unknown"
    """Its outcome is unknown: payments keeps checking, and staff can settle it."""


@dataclass(frozen=True, slots=True)
class Obligation:
    """A part of what is owed. Amount in minor units of the payment's currency."""

    attempt: int
    """Whose charge is to be refunded: the `attempt` of a `payment.refund`."""
    amount: int
    status: ObligationStatus
    since: datetime
    """When its refund was requested; without one, when the charge was begun."""
    refund: str = ""
    """The id of its latest refund."""
    reference: str = ""
    """The provider's id of that refund."""
    tries: int = 0
    code: str = ""
    text: str = ""
    """Why it was not made, when it was tried last. For staff."""
    for_staff: bool = False
    """Staff refund it in another way, or settle it."""


def obligations(payment: Payment) -> tuple[Obligation, ...]:
    """The parts of `Payment.owed`, which is their sum: what waits, by attempt, then refunds under way."""
    return (*_waiting(payment), *_under_way(payment))


def _waiting(payment: Payment) -> Iterator[Obligation]:
    """What must be refunded of each attempt and is under way in no refund."""
    for attempt in payment.attempts:
        if left := payment.owed_of(attempt):
            if payment.must_be_refunded(attempt):
                yield from _left(payment, attempt, left)
            else:
                yield _beyond(attempt, left)


def _left(payment: Payment, attempt: ChargeAttempt, amount: int) -> Iterator[Obligation]:
    """What is tried again, then the rest, which waits for staff; the latest refused refund of each says why."""
    refused = [refund for refund in payment.refunds_of(attempt) if refund.status is RefundStatus.FAILED]
    retried = [refund for refund in refused if refund.retry_at and waits_to_be_tried_again(payment, refund)]
    again = min(amount, sum(refund.amount for refund in retried))
    if again:
        yield _of(retried[-1], again, ObligationStatus.OWED)
    if amount > again:
        others = [refund for refund in refused if refund not in retried]
        sent_back = [refund for refund in others if refund.reference and not refund.recorded]
        if latest := (sent_back or others)[-1:]:
            yield _of(latest[0], amount - again, ObligationStatus.OWED, for_staff=True)
        else:
            yield Obligation(attempt.number, amount - again, ObligationStatus.OWED, attempt.at, for_staff=True)


def _beyond(attempt: ChargeAttempt, amount: int) -> Obligation:
    return Obligation(
        attempt=attempt.number,
        amount=amount,
        status=ObligationStatus.OWED,
        since=attempt.captured_at or attempt.at,
        code="overpaid",
        text="More was captured than the order's amount. Refund it: `orderbus refund`, with --amount.",
        for_staff=True,
    )


def _under_way(payment: Payment) -> Iterator[Obligation]:
    for refund in payment.refunds:
        if refund.status is RefundStatus.UNRESOLVED:
            yield _of(refund, refund.amount, ObligationStatus.UNKNOWN, for_staff=True)
        elif refund.status is RefundStatus.PENDING and refund.by_hand:
            yield _of(refund, refund.amount, ObligationStatus.BY_HAND, for_staff=True)
        elif refund.status is RefundStatus.PENDING:
            status = ObligationStatus.PENDING if refund.reference else ObligationStatus.SENT
            yield _of(refund, refund.amount, status)


def _of(refund: Refund, amount: int, status: ObligationStatus, *, for_staff: bool = False) -> Obligation:
    return Obligation(
        attempt=refund.attempt,
        amount=amount,
        status=status,
        since=refund.at,
        refund=refund.id,
        reference=refund.reference,
        tries=refund.tries,
        code=refund.code,
        text=refund.text,
        for_staff=for_staff,
    )
