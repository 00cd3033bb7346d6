"""The messages that the services share: one file per owning service. Importing this package knows them all."""

from shared.contracts import checkout, fulfillment, notifications, payments, storefront

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
"""Every topic that carries messages; dead-letter topics are the shell's."""
