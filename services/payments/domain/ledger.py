"""The ledger: every movement of money as entries that sum to zero per transaction and currency.

A debit is positive, a credit negative. A capture debits what the provider owes us and credits sales; a refund is the
reverse; a refund that the bank returned is a capture again, by another name. A refund that is only recorded leaves the
provider's balance alone. A manual settlement that the provider contradicts is undone by a correction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from shared.core import Record
from shared.core.fast_dataclasses import fast

Kind = Literal["capture", "refund", "refund_returned", "correction"]
PROVIDER_BALANCE = "provider_balance"
PAID_ELSEWHERE = "paid_elsewhere"
"""What was refunded in another way than by the provider."""
SALES = "sales"


class LedgerEntry(Record):
    """One side of a movement. Amount in minor units of `currency`."""

    key: str
    id: UUID
    transaction: UUID
    kind: str
    account: str
    amount: int
    currency: str
    provider: str
    reference: str
    """The provider's id of the charge or refund."""
    store: str
    at: datetime


class AttemptRecord(Record):
    """An attempt after a change of its status."""

    key: str
    id: UUID
    attempt: int
    status: str
    amount: int
    currency: str
    provider: str
    reference: str
    card_brand: str
    card_last4: str
    code: str
    text: str
    at: datetime


class RefundRecord(Record):
    """A refund after a change of its status."""

    key: str
    id: UUID
    refund: str
    attempt: int
    status: str
    amount: int
    currency: str
    provider: str
    reference: str
    reason: str
    note: str
    actor: str
    code: str
    text: str
    at: datetime


@fast
@dataclass(frozen=True, slots=True)
class LedgerMovement:
    """Money that moved: towards us when `amount` is positive, back when it is negative."""

    kind: Kind
    amount: int
    currency: str
    provider: str
    reference: str
    store: str
    account: str = PROVIDER_BALANCE


def entries(movement: LedgerMovement, key: str, at: datetime, new_id: Callable[[], UUID]) -> list[LedgerEntry]:
    """The two entries of one movement."""
    transaction = new_id()
    return [
        LedgerEntry(
            key=key,
            id=new_id(),
            transaction=transaction,
            kind=movement.kind,
            account=account,
            amount=amount,
            currency=movement.currency,
            provider=movement.provider,
            reference=movement.reference,
            store=movement.store,
            at=at,
        )
        for account, amount in ((movement.account, movement.amount), (SALES, -movement.amount))
    ]
