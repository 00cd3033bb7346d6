"""One realistic example of every message: for the documents, the golden files and the tests."""

from shared.contracts.examples import (
    approval,
    checkout,
    delivery_work,
    fulfillment,
    notifications,
    payments,
    stock,
    storefront,
)
from shared.core import Message

OWNERS = (storefront, checkout, approval, payments, fulfillment, stock, delivery_work, notifications)
EXAMPLES: dict[type[Message], Message] = {type(example): example for owner in OWNERS for example in owner.EXAMPLES}
"""The example of each message class. A test asserts that every published message has one."""
