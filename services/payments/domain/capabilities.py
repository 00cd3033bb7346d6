"""What each payment provider can do. Rules use this, and name no provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.contracts.providers import DEFAULT, MANUAL

__all__ = ["CAPABILITIES", "DEFAULT", "Capabilities"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider's API offers. Where it offers no refund, staff make it; the task stays open until they say so."""

    full_refunds: bool
    partial_refunds: bool
    dashboard: str = ""
    """Where staff do what the API cannot."""
    charges: bool = True
    """Without, the order waits until staff record that it was paid. Such a provider has no records of its own."""

    def refunds(self, amount: int, captured: int) -> bool:
        """Whether the API can refund so much of what was captured."""
        return self.full_refunds if amount == captured else self.partial_refunds


CAPABILITIES: Mapping[str, Capabilities] = {
    DEFAULT: Capabilities(full_refunds=True, partial_refunds=True, dashboard="https://dashboard.stripe.com/payments"),
    MANUAL: Capabilities(full_refunds=False, partial_refunds=False, charges=False),
}
