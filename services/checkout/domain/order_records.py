"""What an order keeps of refunds, and of what staff and customers asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.contracts.storefront import CartLine
from shared.contracts.values import BillingField, PaidElsewhere
from shared.core.fast_dataclasses import fast


@fast
@dataclass(frozen=True, slots=True)
class Refund:
    """A refund that was made, kept because the customer's bank may still return it to the store."""

    id: str
    amount: int
    shares: dict[str, int]
    """How much of it was counted for each item."""
    recorded: bool = False
    """No provider moved the money: the customer gets it in another way."""


@fast
@dataclass(frozen=True, slots=True)
class Completion:
    """Staff complete an unpaid order by hand, as soon as what is open at the provider has ended."""

    note: str
    actor: str
    paid: PaidElsewhere | None = None
    """None: the order is given."""


@fast
@dataclass(frozen=True, slots=True)
class Asked:
    """What the customer asks for, and staff have not answered."""

    wants: str
    at: datetime
    text: str = ""


@fast
@dataclass(frozen=True, slots=True)
class Opened:
    """What the checkout page told when it was opened."""

    email: str | None = None
    items: tuple[CartLine, ...] = ()


@fast
@dataclass(frozen=True, slots=True)
class BillingDetails:
    """What was submitted besides the billing address, and for whom."""

    company: str | None = None
    vat_number: str | None = None
    fields: tuple[BillingField, ...] = ()
    purchaser_role: str | None = None
    terms: str | None = None
