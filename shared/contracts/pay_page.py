"""What an order's pay page shows, and the customer's request to pay again there. Key: the order id."""

from __future__ import annotations

from pydantic import AwareDatetime

from shared.contracts.payments import COMMANDS, EVENTS
from shared.contracts.values import (
    Amount,
    Count,
    Email,
    Locale,
    OrderNumber,
    Provider,
    Short,
    Url,
    Value,
    Verification,
)
from shared.core import Command, Event


class PayLine(Value):
    """A line of the order. Amounts in minor units."""

    product: Short
    """The product's name, or that of the delivery charge."""
    quantity: Count
    """How many units."""
    amount: Amount
    """Before discounts, and before tax unless prices include it."""


class PayPage(Value):
    """What a page needs that asks the customer to pay an order, or to give a card for it. It names no customer."""

    number: OrderNumber
    store: Short
    """The store's name."""
    support: Email
    """Where customers write to."""
    order_url: Url
    """The order's page in the shop."""
    lines: tuple[PayLine, ...]
    """The order's lines."""
    subtotal: Amount
    """Sum of the lines."""
    discount: Amount
    """Sum of the discounts."""
    tax: Amount
    """Sum of the taxes."""
    amount: Amount
    """What is to be paid."""
    until: AwareDatetime
    """When the time to pay, or to give a card, ends."""
    attempts: Count
    """How many payments were requested."""
    tries_left: Count
    """How often the customer can still try to pay, or give a card."""
    providers: tuple[Short, ...]
    """The payment providers that the store offers."""
    prices_include_tax: bool = False
    """The lines' amounts include the tax."""
    retry_after: AwareDatetime | None = None
    """When the customer can pay again, unless at once."""
    locale: Locale | None = None
    time_zone: Short | None = None
    """The store's time zone: `Europe/Berlin`. Missing: UTC."""
    languages: tuple[Short, ...] = ()
    """Of the store, the first of which is for all other customers. Empty: all that there are."""


class RetryPayment(Command, type="payment.retry", topic=COMMANDS):
    """The customer pays again on the pay page, or gives another card to verify. Refused unless that can be done now."""

    attempt: Count
    """The latest payment attempt that the page has shown."""
    provider: Provider
    payment_method: Short
    """The provider's id: `pm_…`. Never a card number."""
    return_url: Url
    """Where the customer comes back to from the bank."""
    verification: Verification | None = None
    """The latest verification of a card that the page has shown: this card is verified, and nothing is charged.
    Missing: the order is paid."""


class PaymentRetryRequested(Event, type="payment.retry_requested", topic=EVENTS):
    """The customer pays again on the pay page, or gives another card to verify. Checkout requests that, unless it has
    requested another one since, or the order cannot be paid, or no card be verified, any more."""

    attempt: Count
    """The latest payment attempt that there was: a second request after the same one changes nothing."""
    provider: Provider
    payment_method: Short
    """The provider's id of the payment method: `pm_…`."""
    return_url: Url
    """Where the customer returns to from the bank."""
    verification: Verification | None = None
    """The latest verification that there was, if a card is to be verified before the order is accepted: checkout
    requests that, and no payment."""
