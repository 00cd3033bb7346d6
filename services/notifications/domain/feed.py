"""Recipients of in-app feeds: each customer of a store, and the store's staff.

A recipient is `<store>~staff`, `<store>~customer~<customer id>`, or for a customer without an id
`<store>~guest~<first 24 hex digits of SHA-256 of the lower-case email>`: stable, and no address in a URL or a log.
"""

from __future__ import annotations

import hashlib

from services.notifications.domain.notification_log import Customer


def staff_recipient(store: str) -> str:
    return f"{store}~staff"


def is_customer(recipient: str) -> bool:
    """Whether the feed is a customer's, not the staff's."""
    return recipient.partition("~")[2].startswith(("customer~", "guest~"))


def customer_recipient(store: str, customer: Customer) -> str:
    if customer.id:
        return f"{store}~customer~{customer.id}"
    return f"{store}~guest~{hashlib.sha256(customer.email.lower().encode()).hexdigest()[:24]}"
