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
