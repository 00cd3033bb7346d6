"""What each payment provider can do, by method where methods differ. Rules use this, and name no provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.contracts.providers import DEFAULT, MANUAL, METHODS

__all__ = ["BY_METHOD", "CAPABILITIES", "DEFAULT", "MANUAL", "Capabilities", "capabilities"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider's API offers. Where it offers no refund, staff make it; the task stays open until they say so."""

    full_refunds: bool
    partial_refunds: bool
    dashboard: str = ""
    """Where staff do what the API cannot."""
    charges: bool = True
    """Without, the order waits until staff record that it was paid. Such a provider has no records of its own."""
    refund_window_days: int | None = None
    """How many days after the capture the API refunds it. None: it sets no limit."""
    tells_fees: bool = False
    """Of each charge, if it is asked."""

    def refunds(self, amount: int, captured: int) -> bool:
        """Whether the API can refund so much of what was captured."""
        return self.full_refunds if amount == captured else self.partial_refunds

    def refundable_until(self, captured_at: datetime) -> datetime | None:
        return captured_at + timedelta(days=self.refund_window_days) if self.refund_window_days is not None else None


CAPABILITIES: Mapping[str, Capabilities] = {
    DEFAULT: Capabilities(
        full_refunds=True, partial_refunds=True, dashboard="https://dashboard.stripe.com/payments", tells_fees=True
    ),
    MANUAL: Capabilities(full_refunds=False, partial_refunds=False, charges=False),
}
"""By provider. Stripe's page names no limit in days for cards, which are all that is offered through it:
https://docs.stripe.com/refunds."""
BY_METHOD: Mapping[tuple[str, str], Capabilities] = {}
"""By provider and method, where a method differs from the provider's others. None that is offered does."""


def capabilities(provider: str, method: str) -> Capabilities:
    """Without a method: those of the provider's usual one."""
    return BY_METHOD.get((provider, method or METHODS[provider][0])) or CAPABILITIES[provider]
