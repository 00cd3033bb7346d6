"""Which facts are sent to webhook endpoints, under which event names, and the payload."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from services.notifications.domain.endpoint import Endpoint, Endpoints
from services.notifications.domain.notification_log import Fact, NotificationLog
from shared.core.money import decimal_string

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
EVENTS: dict[str, tuple[str, ...]] = {
    "placed": ("order.created", "order.updated"),
    "paid": ("order.received", "order.updated"),
    "completed": ("order.completed", "order.updated"),
    "cancelled": ("order.updated",),
    "expired": ("order.updated",),
    "failed": ("order.updated",),
    "resumed": ("order.updated",),
    "refunded": ("order.refunded", "order.updated"),
    "refund_failed": ("order.refund_failed",),
    "refund_returned": ("order.refund_failed",),
}
"""Events by kind of fact. `order.updated` is every change of the order's status."""


def subscriptions(fact: Fact, known: Endpoints | None) -> list[tuple[str, Endpoint]]:
    """Every event of the fact, with every endpoint that subscribes to it."""
    endpoints = known.endpoints if known else ()
    events = EVENTS.get(fact.kind, ())
    return [(event, endpoint) for event in events for endpoint in endpoints if event in endpoint.events]


def payload(log: NotificationLog, event: str, at: datetime) -> str:
    """Made of what never changes, so that a replay has the same bytes."""
    timestamp = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return _JSON.encode({"event": event, "timestamp": timestamp, "data": data(log)})


def data(log: NotificationLog) -> dict[str, Any]:
    """The order as receivers see it: amounts are decimal strings; `total` is what is charged, `price` per unit. The
    items are products only."""
    return {
        "order_number": log.number,
        "customer_email": log.customer.email,
        "total": decimal_string(log.purchased, log.currency),
        "currency": log.currency,
        "items": [
            {
                "product_name": line.product,
                "quantity": line.quantity,
                "price": decimal_string(line.unit_price, log.currency),
            }
            for line in log.lines
            if not line.is_delivery_charge
        ],
    }
