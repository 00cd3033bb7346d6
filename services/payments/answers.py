"""What answers of payments hold, for its OpenAPI document."""

from __future__ import annotations

from datetime import datetime

from typing_extensions import TypedDict

from shared.contracts.values import Card
from shared.shell.http.listed import WaitingCall


class ItemShare(TypedDict):
    """What of an amount is for an item."""

    item: str
    """The item within the order."""
    amount: int
    """In minor units."""


class RefundableItem(TypedDict):
    """What can still be refunded of an item."""

    item: str
    """The item within the order."""
    refundable: int
    """In minor units."""


class AttemptFee(TypedDict):
    """What the provider keeps."""

    amount: int
    """In minor units of its currency."""
    currency: str
    """ISO 4217."""
    exchange_rate: str | float | None
    """By which the charge was converted into that currency."""


class PaymentAttempt(TypedDict):
    """One attempt to charge, or one charge."""

    attempt: int
    """Its number within the order."""
    extra_of: int | None
    """The attempt that was charged a second time by this charge."""
    provider: str
    """The payment provider."""
    method: str
    """The method of payment."""
    status: str
    """`requested`, `captured`, `declined` and others."""
    amount: int
    """In minor units."""
    reference: str
    """The provider's name of it; may be empty."""
    card: Card | None
    """Of a card: what may be shown."""
    code: str
    """Why it was declined, for machines."""
    text: str
    """The same for staff."""
    surplus: bool
    """It was more than was to be paid, and is refunded."""
    settled_by: str | None
    """Who recorded its outcome by hand."""
    at: datetime
    """When its status was reached."""
    captured_at: datetime | None
    """When it was captured."""
    fee: AttemptFee | None
    """Null where it is unknown."""
    refundable_until: datetime | None
    """Until when the provider refunds it; null: no limit, or nothing was captured."""


class PaymentRefund(TypedDict):
    """One refund."""

    refund: str
    """Its id."""
    attempt: int
    """Of which attempt."""
    status: str
    """`pending`, `done`, `failed` and others."""
    amount: int
    """In minor units."""
    items: list[ItemShare]
    """What of it is for which item."""
    reason: str
    """Why, as staff or the provider said it."""
    note: str
    """Further words of staff."""
    recorded: bool
    """Staff recorded it: no money moved at the provider."""
    by_hand: bool
    """The provider cannot make it: staff do."""
    remove_access: list[str] | None
    """The items that lose access, of those wholly refunded; null: all of them."""
    remove_offer_access: bool
    """What the offer and every order bring is removed, too."""
    restock: list[str] | None
    """The items that are put back in stock, of those wholly refunded; null: all of them."""
    reference: str
    """The provider's name of it; may be empty."""
    tries: int
    """How often it was requested of the provider."""
    code: str
    """Why it failed, for machines."""
    text: str
    """The same for staff."""
    settled_by: str | None
    """Who recorded its outcome by hand."""
    at: datetime
    """When its status was reached."""


class OwedPart(TypedDict):
    """A part of what is owed to the customer."""

    attempt: int
    """Of which attempt."""
    amount: int
    """In minor units."""
    state: str
    """`owed`, `sent`, `by_hand` and others."""
    refund: str
    """The refund by which it is paid out; empty: there is none yet."""
    reference: str
    """The provider's name of that refund."""
    tries: int
    """How often it was requested."""
    code: str
    """Why it is not made, for machines."""
    text: str
    """The same for staff."""
    for_staff: bool
    """Staff must do something."""
    since: datetime
    """Since when it is owed."""


class StrayCharge(TypedDict):
    """A charge that orderbus did not make."""

    reference: str
    """The provider's name of it."""
    amount: int
    """In minor units of its currency."""
    currency: str
    """ISO 4217."""
    at: datetime
    """When it was reported."""


class PaymentAnswer(TypedDict):
    """An order's payment."""

    order: str
    """The order's id."""
    number: str
    """The order's number."""
    store: str
    """The store's id."""
    status: str
    """The payment's status."""
    provider: str
    """The payment provider."""
    currency: str
    """ISO 4217."""
    authorised: int
    """In minor units."""
    captured: int
    """In minor units."""
    refunded: int
    """In minor units."""
    pending: int
    """Refunds that are not done yet, in minor units."""
    refundable: int
    """What can still be refunded, in minor units."""
    owed: int
    """What is owed to the customer, in minor units."""
    obligations: list[OwedPart]
    """Its parts."""
    unresolved: bool
    """The outcome of a call is unknown, and for staff to find out."""
    items: list[RefundableItem]
    """What can still be refunded of each item."""
    attempts: list[PaymentAttempt]
    """Oldest first."""
    stray_charges: list[StrayCharge]
    """Charges that orderbus did not make: they pay nothing."""
    refunds: list[PaymentRefund]
    """Oldest first."""
    waiting: list[WaitingCall]
    """Calls to the provider that wait."""


class ListedPayment(TypedDict, total=False):
    """A payment in a list."""

    key: str
    """The order's id."""
    number: str
    """The order's number."""
    store: str | None
    """The store's id."""
    status: str | None
    """The payment's status."""
    provider: str | None
    """The payment provider."""
    currency: str | None
    """ISO 4217."""
    reference: str | None
    """The provider's name of its latest charge."""
    authorised: int | None
    """In minor units."""
    captured: int | None
    """In minor units."""
    refunded: int | None
    """In minor units."""
    pending: int | None
    """Refunds that are not done yet, in minor units."""
    unresolved: bool | None
    """The outcome of a call is unknown."""
    owed: int | None
    """What is owed to the customer, in minor units."""
    changed_at: datetime
    """When it was changed last."""


class LedgerEntry(TypedDict):
    """One entry of the ledger; those of a transaction add up to 0."""

    key: str
    """The order's id."""
    id: str
    """The entry's id."""
    at: datetime
    """When it was entered."""
    transaction: str
    """What has the same is one transaction."""
    kind: str
    """`charge`, `refund` and others."""
    account: str
    """The account."""
    amount: int
    """In minor units; negative: from the account."""
    currency: str
    """ISO 4217."""
    provider: str
    """The payment provider."""
    reference: str
    """The provider's name of the charge or refund."""
    store: str
    """The store's id."""


class OwedPayment(TypedDict, total=False):
    """A payment of which something is owed to the customer."""

    order: str
    """The order's id."""
    number: str
    """The order's number."""
    store: str
    """The store's id."""
    currency: str
    """ISO 4217."""
    owed: int
    """In minor units."""
    changed_at: datetime
    """When the payment was changed last."""
    obligations: list[OwedPart]
    """The parts of what is owed."""
    newer: bool
    """True: only a newer build can read its parts."""
