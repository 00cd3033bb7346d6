"""How much a provider can charge, in minor units by ISO 4217."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shared.core import Problem
from shared.core.money import Money


@dataclass(frozen=True, slots=True)
class ChargeLimits:
    """Of one provider and currency."""

    least: int
    most: int
    step: int = 1
    """Every charge, every refund, and every line's share of either is a multiple of it."""

    def problems(self, field: str, amount: int, currency: str) -> Iterator[Problem]:
        """Why an amount cannot be charged, each with the limit in it."""
        if amount < self.least:
            text = f"At least {Money(self.least, currency)} must be charged."
            yield Problem(field=field, code="amount_too_small", text=text)
        if amount > self.most:
            text = f"At most {Money(self.most, currency)} can be charged at once."
            yield Problem(field=field, code="amount_too_large", text=text)
        if amount % self.step:
            text = f"Amounts in {currency} must be a multiple of {Money(self.step, currency)}."
            yield Problem(field=field, code="amount_off_step", text=text)
