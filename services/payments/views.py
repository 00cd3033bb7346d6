"""A payment as staff see it over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

from services.payments.domain.owed import Obligation, obligations
from services.payments.domain.payment import ChargeAttempt, Payment, Refund
from shared.shell.http.declaration import Json

Obstacles = Mapping[str, str]
"""By refund: why the call that requests it of the provider waits."""


def payment_view(key: str, payment: Payment, obstacles: Obstacles) -> Json:
    """Sums, what is owed, every attempt, every refund. Amounts in minor units."""
    return {
        "order": key,
        "number": payment.number,
        "store": payment.store,
        "status": payment.status,
        "provider": payment.provider,
        "currency": payment.currency,
        "authorised": payment.authorised,
        "captured": payment.captured,
        "refunded": payment.refunded,
        "pending": payment.pending,
        "refundable": payment.refundable,
        "owed": payment.owed,
        "obligations": obligations_view(payment, obstacles),
        "unresolved": payment.unresolved,
        "items": [{"item": share.item, "refundable": share.amount} for share in payment.refundable_shares()],
        "attempts": [_attempt(payment, attempt) for attempt in payment.attempts],
        "stray_charges": [
            {"reference": one.reference, "amount": one.amount, "currency": one.currency, "at": one.at}
            for one in payment.strays
            if not one.ours
        ],
        "refunds": [_refund(refund) for refund in payment.refunds],
    }


def obligations_view(payment: Payment, obstacles: Obstacles) -> list[Json]:
    return [_obligation(part, obstacles) for part in obligations(payment)]


def _obligation(part: Obligation, obstacles: Obstacles) -> Json:
    """`text`: why it is not made. For staff."""
    return {
        "attempt": part.attempt,
        "amount": part.amount,
        "state": part.status,
        "refund": part.refund,
        "reference": part.reference,
        "tries": part.tries,
        "code": part.code,
        "text": obstacles.get(part.refund) or part.text,
        "for_staff": part.for_staff,
        "since": part.since,
    }


def _attempt(payment: Payment, attempt: ChargeAttempt) -> Json:
    """`extra_of`: the attempt that was charged a second time by this charge. `fee`: null where it is unknown."""
    fee = attempt.fee
    return {
        "attempt": attempt.number,
        "extra_of": attempt.extra_of or None,
        "provider": payment.provider_of(attempt),
        "method": attempt.method,
        "status": attempt.status,
        "amount": attempt.amount,
        "reference": attempt.reference,
        "card": attempt.card.model_dump() if attempt.card else None,
        "code": attempt.code,
        "text": attempt.text,
        "surplus": attempt.surplus,
        "settled_by": attempt.settled_by,
        "at": attempt.at,
        "captured_at": attempt.captured_at,
        "fee": {"amount": fee.amount, "currency": fee.currency, "exchange_rate": fee.exchange_rate} if fee else None,
        "refundable_until": payment.refundable_until(attempt) if attempt.captured else None,
    }


def _refund(refund: Refund) -> Json:
    return {
        "refund": refund.id,
        "attempt": refund.attempt,
        "status": refund.status,
        "amount": refund.amount,
        "items": [{"item": share.item, "amount": share.amount} for share in refund.shares],
        "reason": refund.reason,
        "note": refund.note,
        "recorded": refund.recorded,
        "by_hand": refund.by_hand,
        "remove_access": refund.remove_access,
        "remove_offer_access": refund.remove_offer_access,
        "restock": refund.restock,
        "reference": refund.reference,
        "tries": refund.tries,
        "code": refund.code,
        "text": refund.text,
        "settled_by": refund.settled_by,
        "at": refund.at,
    }
