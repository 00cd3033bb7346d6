"""What a payment keeps for the order's pay page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.contracts.pay_page import PayPage


@dataclass(frozen=True, slots=True)
class Page:
    """What the pay page shows, and what the customer did there."""

    told: PayPage
    declined: int = 0
    """The latest attempt of which checkout told that it was declined."""
    reason: str = ""
    """Why, one of `DeclineReason`."""
    confirming: int = 0
    """The latest attempt that the customer has to confirm, at `bank`."""
    bank: str = ""
    asked: int = 0
    """The customer wants to pay again after this attempt, since `asked_at`."""
    asked_at: datetime | None = None
    verification: int = 0
    """The latest verification for which checkout asked the customer to confirm the card, or to give another."""
    card_asked: int = 0
    """The customer gave another card after this verification, since `asked_at`."""
    without_card: bool = False
    """The store decides on the order without a verified card: it is paid by hand once it is accepted."""
