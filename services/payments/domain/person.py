"""A payment without what it knows of the customer. The provider's ids of charges and refunds stay: the ledger is
reconciled by them."""

from __future__ import annotations

from typing import Any

from services.payments.domain.payment import ChargeAttempt, Payment, Refund
from services.payments.domain.verification import Verification
from shared.core.fast_dataclasses import replace


def without_person(payment: Payment) -> Payment:
    return replace(
        payment,
        attempts=tuple(map(_attempt, payment.attempts)),
        refunds=tuple(map(_refund, payment.refunds)),
        verifications=tuple(map(_verification, payment.verifications)),
        waiting=None,
        page=None,
    )


def _attempt(attempt: ChargeAttempt) -> ChargeAttempt:
    return replace(attempt, card=None, text="")


def _refund(refund: Refund) -> Refund:
    return replace(refund, note="", text="")


def _verification(it: Verification) -> Verification:
    """The provider's ids of customer and card stay until it has forgotten the card."""
    kept = bool(it.payment_method) and not it.forgotten
    ids: dict[str, Any] = {} if kept else {"customer": "", "payment_method": ""}
    return replace(it, card=None, text="", url="", **ids)
