"""How customers choose a card on the pay page: in the provider's own fields, or among test cards."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PayForm:
    """What the page shows, and which payment methods it takes."""

    provider: str
    cards: Sequence[str] = ()
    """Ids of test mode to choose from. They have no number. Empty: the provider's own fields, by `script`."""
    script: str = ""
    """The URL of the provider's script; the only one that is not ours."""
    data: Mapping[str, str] = field(default_factory=dict)
    """For our own script: `data-…`."""
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What its script needs of the Content-Security-Policy, by directive."""
    shape: str = ""
    """Of the ids of payment methods that the provider's script makes: a regular expression."""

    def takes(self, payment_method: str) -> bool:
        if self.cards:
            return payment_method in self.cards
        return bool(re.fullmatch(self.shape, payment_method))

    def data_of(self, amount: int, currency: str, locale: str) -> dict[str, str]:
        """For our own script, of one order. `amount` in minor units; 0: nothing is charged, the card is verified."""
        mode = {"mode": "payment", "amount": str(amount)} if amount else {"mode": "setup"}
        return {**self.data, **mode, "currency": currency.lower(), "locale": locale}
