"""What an order's pay page shows, and the customer's request to pay again there. Key: the order id."""

from __future__ import annotations

from pydantic import AwareDatetime

from shared.contracts.payments import COMMANDS, EVENTS
from shared.contracts.values import Amount, Count, Email, Locale, Short, Url, Value
from shared.core import Command, Event


class PayLine(Value):
    """A line of the order. Amounts in minor units."""

    product: Short
    quantity: Count
    amount: Amount
    """Before discounts, and before tax unless prices include it."""


class PayPage(Value):
    """What a page needs that asks the customer to pay an order. It names no customer."""

    number: Short
    store: Short
    """Its name."""
    support: Email
    order_url: Url
    """The order's page in the shop."""
    lines: tuple[PayLine, ...]
    subtotal: Amount
    discount: Amount
    tax: Amount
    amount: Amount
    """What is to be paid."""
    until: AwareDatetime
    attempts: Count
    """How many payments were requested."""
    tries_left: Count
    providers: tuple[Short, ...]
    """That the store offers."""
    prices_include_tax: bool = False
    retry_after: AwareDatetime | None = None
    """When the customer can pay again, unless at once."""
    locale: Locale | None = None
    time_zone: Short | None = None
    languages: tuple[Short, ...] = ()
    """Of the store, the first of which is for all other customers. Empty: all that there are."""


class RetryPayment(Command, type="payment.retry", topic=COMMANDS):
    """The customer pays again on the pay page. Refused unless the order can be paid now."""

    attempt: Count
    """The latest payment attempt that the page has shown."""
    provider: Short
    payment_method: Short
    """The provider's id: `pm_…`. Never a card number."""
    return_url: Url
    """Where the customer comes back to from the bank."""


class PaymentRetryRequested(Event, type="payment.retry_requested", topic=EVENTS):
    """The customer pays again on the pay page. Checkout requests the attempt, unless it has requested another one
    since, or the order cannot be paid any more."""

    attempt: Count
    """The latest that there was: a second request after the same one changes nothing."""
    provider: Short
    payment_method: Short
    return_url: Url
