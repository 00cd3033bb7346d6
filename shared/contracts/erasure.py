"""The erasure of a customer's personal data in an order. Key: the order id."""

from __future__ import annotations

from shared.contracts.checkout import COMMANDS, ORDERS
from shared.contracts.values import OrderNumber, StoreId
from shared.core import Command, Event


class EraseCustomer(Command, type="customer.erase", topic=COMMANDS):
    """Erase the personal data of an order that has ended, in every service. Amounts, items and times stay. Nothing
    brings it back. Refused while something is under way, money is owed or the payment is disputed."""


class OrderErased(Event, type="order.erased", topic=ORDERS):
    """Checkout has erased the personal data of the order. Each service that keeps some of it erases its own."""

    number: OrderNumber
    store: StoreId
