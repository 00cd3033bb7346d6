"""Which facts are sent to webhook endpoints, under which event names, and the payload."""

from __future__ import annotations

import json
from datetime import UTC
from functools import lru_cache

from services.notifications.domain.endpoint import Endpoint, Endpoints
from services.notifications.domain.notification_log import Fact, Line, NotificationLog
from shared.core.money import decimal_string

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
EVENTS: dict[str, tuple[str, ...]] = {
    "placed": ("order.created", "order.updated"),
    "paid": ("order.received", "order.updated"),
    "completed": ("order.completed", "order.updated"),
    **dict.fromkeys(("received", "accepted", "request_declined"), ("order.updated",)),
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


def payload(log: NotificationLog, event: str, fact: Fact) -> str:
    """Made of what never changes, so that a replay has the same bytes."""
    timestamp = fact.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    about = (log.number, log.customer.email, fact.status, log.purchased, _paid(log, fact), fact.refund)
    data = _data(*about, log.currency, log.lines)
    return f'{{"event":{_JSON.encode(event)},"timestamp":"{timestamp}","data":{data}}}'


def _paid(log: NotificationLog, fact: Fact) -> int | None:
    """What was paid until then; None if an older build did not keep that."""
    paid = log.fact("paid")
    return log.amount_paid if paid and log.facts.index(paid) <= log.facts.index(fact) else 0


@lru_cache(1000)
def _data(
    number: str,
    email: str,
    status: str | None,
    purchased: int,
    paid: int | None,
    refund: int | None,
    currency: str,
    lines: tuple[Line, ...],
) -> str:
    """The order as receivers see it: amounts are decimal strings; `total` is what it costs, `paid` what was paid until
    then, `refund_amount` of this refund, `price` per unit. The items are products only. Cached, since the events of an
    order come close together."""
    items = [
        {"product_name": line.product, "quantity": line.quantity, "price": decimal_string(line.unit_price, currency)}
        for line in lines
        if not line.is_delivery_charge
    ]
    amounts = {"total": purchased, "paid": paid, "refund_amount": refund}
    data = {
        "order_number": number,
        "customer_email": email,
        **({} if status is None else {"status": status}),
        **{name: decimal_string(amount, currency) for name, amount in amounts.items() if amount is not None},
        "currency": currency,
        "items": items,
    }
    return _JSON.encode(data)
