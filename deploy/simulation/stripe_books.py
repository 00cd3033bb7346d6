"""Stripe's books: payment intents and refunds in Stripe's units, and as Stripe writes them. What orderbus reads of them
goes through its gateway's own translation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.payments.domain.operations import ChargeResult, ChargeStatus, RefundProgress, RefundResult, charge_key
from services.payments.gateways.stripe.objects import charge_result, refund_result

UNITS: Mapping[str, int] = {"ISK": 100, "UGX": 100}
"""How many of Stripe's units one minor unit of ISO 4217 is, where it is not one:
https://docs.stripe.com/currencies#special-cases."""
STEPS: Mapping[str, int] = {**UNITS, "KWD": 10}
"""Amounts in Stripe's units are multiples of it."""
CARD = {"card": {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030}}
STATUSES: Mapping[ChargeStatus, str] = {
    "succeeded": "succeeded",
    "requires_action": "requires_action",
    "processing": "processing",
    "failed": "requires_payment_method",
    "cancelled": "canceled",
}
"""As Stripe names them."""


@dataclass
class MadeRefund:
    id: str
    refund: str
    """Empty for one made in the dashboard."""
    amount: int
    status: RefundProgress

    @property
    def lasts(self) -> bool:
        return self.status == "succeeded"


@dataclass
class Intent:
    """`amount` and those of its refunds are in Stripe's units."""

    id: str
    order: str
    store: str
    attempt: int
    amount: int
    currency: str
    status: ChargeStatus
    code: str = ""
    refunds: list[MadeRefund] = field(default_factory=list)
    stray: bool = False
    """Not made by orderbus, whatever its metadata say."""
    falsely_declined: bool = False
    """Stripe said that it was declined, and captured it later."""
    ends_late: bool = False
    """Its customer or Stripe is in no hurry: it waits for the end of the time to pay."""
    kept_card: bool = False
    """Made with a card that was kept, while the customer was away."""

    @property
    def step(self) -> int:
        return STEPS.get(self.currency, 1)

    @property
    def left(self) -> int:
        """What can be refunded, in Stripe's units."""
        received = self.amount if self.status == "succeeded" else 0
        return received - sum(made.amount for made in self.refunds if made.status != "failed")

    def in_minor_units(self, amount: int) -> int:
        """By ISO 4217, as orderbus counts."""
        return amount // UNITS.get(self.currency, 1)

    @property
    def captured(self) -> int:
        """In minor units, as are the next two."""
        return self.in_minor_units(self.amount) if self.status == "succeeded" else 0

    @property
    def refunded(self) -> int:
        return self.captured - self.in_minor_units(self.left)

    @property
    def sent_back(self) -> int:
        """Of its refunds, what the bank returned."""
        return self.in_minor_units(sum(made.amount for made in self.refunds if made.status == "failed"))

    @property
    def result(self) -> ChargeResult:
        return charge_result(self._as_stripe_writes_it())

    def result_of(self, made: MadeRefund) -> RefundResult:
        reason = {"failure_reason": "lost"} if made.status == "failed" else {}
        written = {"id": made.id, "status": made.status, "payment_intent": self.id, "amount": made.amount}
        return refund_result({**written, "currency": self.currency.lower(), **reason})

    def _as_stripe_writes_it(self) -> Mapping[str, Any]:
        named = {"order": self.order, "attempt": str(self.attempt), "store": self.store}
        written: dict[str, Any] = {
            "id": self.id,
            "status": STATUSES[self.status],
            "amount": self.amount,
            "amount_received": self.amount if self.status == "succeeded" else 0,
            "currency": self.currency.lower(),
            "metadata": {**named, "key": charge_key(self.order, self.attempt)},
            "payment_method": CARD,
        }
        if self.status == "requires_action":
            written["next_action"] = {"redirect_to_url": {"url": f"https://bank.example/{self.id}"}}
        if self.code:
            written["last_payment_error"] = {"code": "card_declined", "decline_code": self.code, "message": self.code}
        return written
