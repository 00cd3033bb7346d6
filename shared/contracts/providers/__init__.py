"""What checkout and payments must agree on about payment providers: checkout refuses what a provider cannot charge, and
payments charges it. How a provider writes amounts is its gateway's business alone."""

from __future__ import annotations

from collections.abc import Mapping

from shared.contracts.providers import stripe
from shared.contracts.providers.limits import ChargeLimits
from shared.core import Problem

__all__ = ["CHARGES", "DEFAULT", "ChargeLimits", "not_chargeable", "step_of"]

DEFAULT = "stripe"
CHARGES: Mapping[str, Mapping[str, ChargeLimits]] = {"stripe": stripe.CHARGES}
"""By provider and currency. A currency that is not there cannot be charged."""


def not_chargeable(field: str, currency: str) -> Problem:
    return Problem(field=field, code="currency_not_chargeable", text=f"{currency} cannot be charged.")


def step_of(provider: str, currency: str) -> int:
    """1 for a currency that the provider cannot charge."""
    limits = CHARGES[provider].get(currency)
    return limits.step if limits else 1
