"""What checkout and payments must agree on about payment providers: checkout refuses what a provider cannot charge, and
payments charges it. How a provider writes amounts is its gateway's business alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shared.contracts.providers import stripe
from shared.contracts.providers.limits import ChargeLimits
from shared.core import Problem

__all__ = ["CHARGES", "DEFAULT", "MANUAL", "METHODS", "ChargeLimits", "limit_problems", "not_chargeable", "step_of"]

DEFAULT = "stripe"
MANUAL = "manual"
"""The store itself: the customer pays in another way, and staff record it."""
METHODS: Mapping[str, tuple[str, ...]] = {DEFAULT: ("card",), MANUAL: ("bank_transfer", "cash", "other")}
"""Of each provider that a store can offer; the first is meant where none is named."""
CHARGES: Mapping[str, Mapping[str, ChargeLimits]] = {"stripe": stripe.CHARGES}
"""By provider and currency. A currency that is not there cannot be charged."""


def not_chargeable(field: str, currency: str) -> Problem:
    return Problem(field=field, code="currency_not_chargeable", text=f"{currency} cannot be charged.")


def limit_problems(provider: str, field: str, amount: int, currency: str) -> Iterator[Problem]:
    """Why the provider cannot charge it. By hand everything can be paid."""
    if provider == MANUAL:
        return
    limits = CHARGES[provider].get(currency)
    if limits is None:
        yield not_chargeable("currency", currency)
    else:
        yield from limits.problems(field, amount, currency)


def step_of(provider: str, currency: str) -> int:
    """1 for a currency that the provider cannot charge."""
    limits = CHARGES.get(provider, {}).get(currency)
    return limits.step if limits else 1
