"""One realistic example of every message: for the documents, the golden files and the tests."""

from shared.contracts.examples import (
    approval,
    checkout,
    delivery_work,
    fulfillment,
    notifications,
    order_work,
    payments,
    staff,
    stock,
    storefront,
)
from shared.core import Message

OWNERS = (
    *(storefront, checkout, approval, payments, fulfillment, stock, delivery_work, notifications, order_work, staff),
)
EXAMPLES: dict[type[Message], Message] = {type(example): example for owner in OWNERS for example in owner.EXAMPLES}
"""The example of each message class. A test asserts that every published message has one."""
