"""How money moves. Pure: no I/O, no clock, no random numbers."""

from services.payments.domain import (
    by_hand,
    card_verification,
    charge,
    charge_result,
    elsewhere,
    erasure,
    expiry,
    pay_page,
    provider_check,
    refund,
    refund_report,
    refund_result,
    reported,
    settlement,
)
from services.payments.domain.payment import payments

__all__ = [
    "CORES",
    "by_hand",
    "card_verification",
    "charge",
    "charge_result",
    "elsewhere",
    "erasure",
    "expiry",
    "pay_page",
    "provider_check",
    "refund",
    "refund_report",
    "refund_result",
    "reported",
    "settlement",
]

CORES = (payments,)
