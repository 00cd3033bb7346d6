"""Which facts are posted under which event names, and what is posted (REQUIREMENTS, section 4)."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any

from services.notifications.domain.operations import PostWebhook
from services.notifications.domain.state import Endpoint, Endpoints, Fact, NotificationLog, WebhookDelivery
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
}
"""Events by kind of fact. `order.updated` is every change of the order's status."""


def due(fact: Fact, endpoints: Endpoints | None) -> list[tuple[str, Endpoint]]:
    """Every event of the fact for every endpoint that wants it."""
    known = endpoints.endpoints if endpoints else ()
    return [(event, endpoint) for event in EVENTS.get(fact.kind, ()) for endpoint in known if event in endpoint.events]


def post(thread: NotificationLog, posting: WebhookDelivery) -> PostWebhook:
    """The call for a posting. Made of what never changes, so a replay has the same bytes."""
    at = next(fact.at for fact in thread.facts if fact.name == posting.fact)
    body = {
        "event": posting.event,
        "timestamp": at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "data": data(thread),
    }
    payload = _JSON.encode(body)
    return PostWebhook(posting.id, thread.store.id, posting.endpoint, posting.event, payload)


def data(thread: NotificationLog) -> dict[str, Any]:
    """The order as receivers know it: amounts are decimal strings; `total` is what is charged, `price` per unit."""
    return {
        "order_number": thread.number,
        "customer_email": thread.customer.email,
        "total": decimal_string(thread.purchased, thread.currency),
        "currency": thread.currency,
        "items": [
            {
                "product_name": line.product,
                "quantity": line.quantity,
                "price": decimal_string(line.unit_price, thread.currency),
            }
            for line in thread.lines
        ],
    }
