"""The messages that services exchange, one file per owner. Importing this package registers all of them."""

from shared.contracts import (  # noqa: F401
    checkout,
    delivery_work,
    erasure,
    fulfillment,
    notifications,
    order_work,
    pay_page,
    payments,
    staff,
    stock,
    store_settings,
    store_status,
    storefront,
    stores,
)
from shared.core import MESSAGES, Message

TOPICS = (
    storefront.CHECKOUTS,
    checkout.COMMANDS,
    checkout.ORDERS,
    checkout.STATUS,
    store_status.STATUS,
    payments.COMMANDS,
    payments.EVENTS,
    payments.CALLBACKS,
    payments.STATUS,
    fulfillment.COMMANDS,
    fulfillment.EVENTS,
    fulfillment.STATUS,
    notifications.COMMANDS,
    notifications.EVENTS,
    notifications.STATUS,
    staff.COMMANDS,
    staff.EVENTS,
)
"""All topics with messages. Dead-letter topics belong to the shell."""


def published() -> list[type[Message]]:
    """All messages of the contracts, by type and version. (Tests define further messages.)"""
    kinds = (MESSAGES[identity] for identity in sorted(MESSAGES))
    return [kind for kind in kinds if kind.__module__.startswith("shared.contracts.")]
