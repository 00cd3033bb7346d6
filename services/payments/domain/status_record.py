"""The payment's record on `payments.status.v1`: whole, as it is now, for any staff tool."""

from __future__ import annotations

from services.payments.domain.operations import Fee
from services.payments.domain.payment import AttemptStatus, ChargeAttempt, Payment, Refund
from shared.contracts.payment_status import (
    AttemptState,
    ItemLeft,
    PaymentStatusRecord,
    ProviderFee,
    RefundState,
    StrayChargeState,
)
from shared.core.quick_models import build


def is_told(payment: Payment) -> bool:
    """A first attempt is over within a second, as a rule: it is told with its outcome."""
    first = payment.attempts[0] if len(payment.attempts) == 1 else None
    return bool(payment.attempts) and (first is None or first.status is not AttemptStatus.CHARGING)


def last_record(payment: Payment) -> PaymentStatusRecord | None:
    """As it was told last; None if nothing was told of it yet."""
    return status_record(payment) if payment.updated_at else None


def status_record(payment: Payment) -> PaymentStatusRecord:
    assert payment.updated_at is not None
    return build(
        PaymentStatusRecord,
        number=payment.number,
        store=payment.store,
        status=payment.status,
        revision=payment.revision,
        updated_at=payment.updated_at,
        currency=payment.currency,
        captured=payment.captured,
        refunded=payment.refunded,
        pending=payment.pending,
        refundable=payment.refundable,
        owed=payment.owed,
        unresolved=payment.unresolved,
        attempts=tuple(_attempt(payment, attempt) for attempt in payment.attempts),
        refunds=tuple(_refund(payment, refund) for refund in payment.refunds),
        stray_charges=tuple(
            StrayChargeState(reference=it.reference, amount=it.amount, currency=it.currency, at=it.at)
            for it in payment.strays
            if not it.ours
        ),
        items=tuple(build(ItemLeft, item=share.item, refundable=share.amount) for share in payment.refundable_shares()),
    )


def _attempt(payment: Payment, attempt: ChargeAttempt) -> AttemptState:
    return build(
        AttemptState,
        attempt=attempt.number_in_checkout,
        status=attempt.status.value,
        provider=payment.provider_of(attempt),
        method=attempt.method or None,
        reference=attempt.reference or None,
        amount=attempt.amount,
        captured=attempt.captured,
        card=attempt.card,
        code=attempt.code or None,
        surplus=attempt.surplus,
        owed=payment.owed_of(attempt),
        at=attempt.at,
        fee=_fee(attempt.fee) if attempt.fee else None,
    )


def _fee(fee: Fee) -> ProviderFee:
    return ProviderFee(amount=fee.amount, currency=fee.currency, exchange_rate=fee.exchange_rate or None)


def _refund(payment: Payment, refund: Refund) -> RefundState:
    attempt = payment.attempt(refund.attempt)
    return build(
        RefundState,
        refund=refund.id,
        attempt=attempt.number_in_checkout if attempt else refund.attempt,
        status=refund.status.value,
        amount=refund.amount,
        reference=refund.reference or None,
        reason=refund.reason,
        recorded=refund.recorded,
        code=refund.code or None,
        at=refund.at,
        remove_access=refund.remove_access,
        remove_offer_access=refund.remove_offer_access,
        restock=refund.restock,
    )
