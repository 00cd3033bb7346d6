"""The status record of an order's payment. Key: the order id."""

from __future__ import annotations

from pydantic import AwareDatetime

from shared.contracts.values import (
    Amount,
    Card,
    Count,
    Currency,
    Id,
    ItemId,
    OrderNumber,
    PaymentAttempt,
    PaymentStatus,
    Provider,
    RefundId,
    Revision,
    Short,
    StoreId,
    Value,
)
from shared.core import Event, Topic

STATUS = Topic(
    "payments.status.v1",
    owner="payments",
    compacted=True,
    description="The latest complete state of every order's payment, for staff tools.",
)


class ProviderFee(Value):
    """What the provider keeps of a charge. `amount` in minor units of `currency`, in which the provider settles."""

    amount: Amount
    """The fee."""
    currency: Currency
    exchange_rate: Short | None = None
    """From the charge's currency to that one, as a decimal string. Missing if they are the same."""


class AttemptState(Value):
    """One attempt to charge. Amounts in minor units."""

    attempt: Count
    """The number of the payment attempt. An extra capture of one has the same number."""
    status: Short
    """One of charging, action_required, cancelling, captured, declined, cancelled, unresolved."""
    provider: Provider
    method: Short | None = None
    """How the customer pays: `card`, `bank_transfer`, … Missing: unknown."""
    reference: Short | None = None
    """The provider's id: `pi_…`."""
    amount: Amount
    """What was to be charged."""
    captured: Amount = 0
    """What was captured."""
    card: Card | None = None
    """The card, as far as the provider describes it."""
    code: Short | None = None
    """For staff: why it was declined."""
    surplus: bool = False
    """Captured besides what paid the order: all of it is owed to the customer."""
    owed: Amount = 0
    """What the customer is to get of it and has not got, refunds in progress left out."""
    at: AwareDatetime
    """When it was requested."""
    fee: ProviderFee | None = None
    """What the provider keeps of the captured charge. Missing: unknown."""


class RefundState(Value):
    """One refund. Amount in minor units."""

    refund: RefundId
    attempt: PaymentAttempt
    status: Short
    """One of pending, done, failed, unresolved."""
    amount: Amount
    """How much."""
    reference: Short | None = None
    """The provider's id: `re_…`."""
    reason: Short = ""
    """Why: as in `payment.refunded`."""
    recorded: bool = False
    """The provider moved no money: the customer gets it in another way."""
    code: Short | None = None
    """For staff: why it failed."""
    at: AwareDatetime
    """When it was requested."""
    remove_access: tuple[Id, ...] | None = None
    """As it was requested: of which items access is removed. Missing: of all that it makes wholly refunded."""
    remove_offer_access: bool = False
    """As it was requested: what came with the order's offer, and with every order, is removed."""
    restock: tuple[Id, ...] | None = None
    """As it was requested: which items' units are put back. Missing: those of all that it makes wholly refunded."""


class StrayChargeState(Value):
    """A charge that names the order and that orderbus did not make."""

    reference: Short
    """The provider's id: `pi_…`."""
    amount: Amount
    """The amount of the charge."""
    currency: Currency
    at: AwareDatetime
    """When it was found."""


class ItemLeft(Value):
    """What is left to refund of one item."""

    item: ItemId
    refundable: Amount
    """What can still be refunded for it."""


class PaymentStatusRecord(Event, type="payment.status", topic=STATUS):
    """The complete current state of one order's payment, from the outcome of its first attempt on. Later records of the
    same key replace earlier ones. Amounts in minor units."""

    number: OrderNumber
    store: StoreId
    status: PaymentStatus
    """The payment's status."""
    revision: Revision
    """Increases with every record; in leaps when payments' database was restored to an earlier point."""
    updated_at: AwareDatetime
    """When this state was reached."""
    currency: Currency
    captured: Amount = 0
    """Sum of all that was captured for the order."""
    refunded: Amount = 0
    """Sum of all refunds that are in effect."""
    pending: Amount = 0
    """Refunds in progress."""
    refundable: Amount = 0
    """What can still be refunded."""
    owed: Amount = 0
    """What the customer is to get and has not got, refunds in progress included."""
    unresolved: bool = False
    """The outcome of a charge or refund is unknown."""
    attempts: tuple[AttemptState, ...] = ()
    """Every attempt to charge, in their order."""
    refunds: tuple[RefundState, ...] = ()
    """Every refund, in their order."""
    stray_charges: tuple[StrayChargeState, ...] = ()
    """Charges at the provider that name this order and that orderbus did not make."""
    items: tuple[ItemLeft, ...] = ()
    """What can still be refunded, by item."""
