"""Examples of the messages in `shared/contracts/approval.py` and `shared/contracts/card_verification.py`."""

from __future__ import annotations

from shared.contracts import approval, card_verification
from shared.contracts.examples.order import (
    BANK_URL,
    CARD,
    GRACE_ENDS,
    ITEMS,
    NUMBER,
    PAY_PAGE,
    PAY_URL,
    PLACED,
    STORE,
)
from shared.core import Message

EXAMPLES: tuple[Message, ...] = (
    approval.AcceptOrder(reason="Can be made by May."),
    approval.DeclineOrder(reason="No more orders this month.", note="We are fully booked until June."),
    approval.OrderVerificationRequested(
        verification=1,
        number=NUMBER,
        store=STORE,
        amount=60,
        currency="GBP",
        items=ITEMS,
        customer_email="ada@example.com",
        return_url=PAY_URL,
        requested_at=PLACED,
        until=GRACE_ENDS,
        payment_method="pm_card_visa",
        statement_descriptor="NORTHWIND",
        provider="stripe",
    ),
    approval.OrderCardNeeded(
        verification=1,
        url=PAY_URL,
        until=GRACE_ENDS,
        text="Your card was declined. Use another card, or ask your bank.",
        page=PAY_PAGE.model_copy(update={"attempts": 0, "retry_after": None}),
    ),
    approval.OrderApprovalRequested(amount=5380, currency="GBP"),
    approval.OrderAccepted(amount=5380, currency="GBP"),
    approval.OrderDeclined(note="We are fully booked until June."),
    card_verification.PaymentVerified(verification=1, card=CARD),
    card_verification.PaymentVerificationActionRequired(verification=1, url=BANK_URL),
    card_verification.PaymentVerificationDeclined(
        verification=1,
        code="do_not_honor",
        text="Your card was declined. Use another card, or ask your bank.",
        card=CARD,
        detail="Your card was declined.",
    ),
)
