"""The messages that services exchange, one file per owner. Importing this package registers all of them."""

from collections.abc import Mapping

from shared.contracts import checkout, fulfillment, notifications, payments, storefront
from shared.core import Topic

TOPICS = (
    storefront.CHECKOUTS,
    checkout.COMMANDS,
    checkout.ORDERS,
    checkout.STATUS,
    payments.COMMANDS,
    payments.EVENTS,
    fulfillment.COMMANDS,
    fulfillment.EVENTS,
    notifications.COMMANDS,
    notifications.EVENTS,
)
"""All topics with messages. Dead-letter topics belong to the shell."""

READERS: Mapping[str, tuple[Topic, ...]] = {
    "checkout": (
        storefront.CHECKOUTS,
        checkout.COMMANDS,
        payments.EVENTS,
        fulfillment.EVENTS,
        notifications.EVENTS,
    ),
    "payments": (payments.COMMANDS, checkout.ORDERS),
    "fulfillment": (fulfillment.COMMANDS, checkout.ORDERS),
    "notifications": (notifications.COMMANDS, checkout.ORDERS),
    "staff": (checkout.STATUS, checkout.ORDERS, payments.EVENTS, fulfillment.EVENTS, notifications.EVENTS),
}
"""Which topics each service reads, for the AsyncAPI document; a test compares it with what the services say."""
