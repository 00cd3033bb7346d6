"""What each payment provider can do. Rules use this, and name no provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider's API offers. Where it offers no refund, staff make it in the provider's dashboard."""

    full_refunds: bool
    partial_refunds: bool
    dashboard: str = ""
    """Where staff do what the API cannot."""


DEFAULT = "stripe"
CAPABILITIES: Mapping[str, Capabilities] = {
    "stripe": Capabilities(full_refunds=True, partial_refunds=True, dashboard="https://dashboard.stripe.com/payments"),
}
