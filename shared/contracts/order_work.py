"""What staff do to orders, besides deliveries and money. Key: the order id."""

from __future__ import annotations

from shared.contracts.checkout import ORDERS
from shared.contracts.values import Amount, Count, Currency, Id, OrderItem, Short, Text
from shared.core import Event


class OrderPaidElsewhere(Event, type="order.paid_elsewhere", topic=ORDERS):
    """Staff completed an unpaid order by hand: it was paid without a provider, or is given. No card is charged for it
    any more; what is captured all the same goes back."""

    attempt: Count
    """Counts on from the customer's attempts."""
    number: Short
    store: Id
    amount: Amount
    """The order's amount; 0 if it is given."""
    currency: Currency
    items: tuple[OrderItem, ...]
    method: Short | None = None
    """`bank_transfer`, `cash` or `other`; missing if it is given."""
    reference: Short = ""
    note: Text = ""
    by: Short = ""
    """Who completed it."""
    given: bool = False
