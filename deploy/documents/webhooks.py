"""Outgoing webhooks in the AsyncAPI document: one message per event, sent by notifications to a store's endpoints."""

from __future__ import annotations

from typing import Any

from shared.contracts.examples.order import ITEMS, NUMBER, WEBHOOK
from shared.contracts.webhooks import SENT, WebhookBody
from shared.core.money import decimal_string

Json = dict[str, Any]
CHANNEL = "webhooks"
HEADERS: Json = {
    "type": "object",
    "description": "Standard Webhooks: https://www.standardwebhooks.com.",
    "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
    "properties": {
        "content-type": {"type": "string", "const": "application/json", "description": "The body is JSON."},
        "webhook-id": {
            "type": "string",
            "description": "The delivery's id: the same in every attempt and replay. Ignore one that you have seen.",
        },
        "webhook-timestamp": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "When this attempt was made, in seconds since 1970 (UTC).",
        },
        "webhook-signature": {
            "type": "string",
            "description": "`v1,` and the base64 of HMAC-SHA256 of `id.timestamp.body` with the endpoint's secret.",
        },
        "traceparent": {"type": "string", "description": "W3C Trace Context, where traces are collected."},
    },
}
EXAMPLE: Json = {
    "event": "order.received",
    "timestamp": "2026-03-03T14:08:02.417305Z",
    "data": {
        "order_number": NUMBER,
        "customer_email": "ada@example.com",
        "status": "processing",
        "total": "53.80",
        "paid": "53.80",
        "currency": "GBP",
        "items": [
            {
                "product_name": item.product,
                "quantity": item.quantity,
                "price": decimal_string(item.unit_price, "GBP"),
            }
            for item in ITEMS
            if not item.is_delivery_charge
        ],
    },
}
SERVER: Json = {
    "host": "{endpoint}",
    "protocol": "https",
    "description": "An endpoint that was registered for a store (`webhook.register`).",
    "variables": {"endpoint": {"default": "crm.example", "description": "Host and path of the endpoint's URL."}},
}


def message_id(event: str) -> str:
    return f"webhook.{event}"


def channel() -> Json:
    return {
        "address": None,
        "title": "Webhooks",
        "description": "Requests by POST to the endpoints of a store that subscribe to the event. 2xx accepts it.",
        "servers": [{"$ref": "#/servers/webhooks"}],
        "messages": {message_id(event): {"$ref": f"#/components/messages/{message_id(event)}"} for event in SENT},
    }


def operation() -> Json:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{CHANNEL}"},
        "summary": "Events that notifications sends to webhook endpoints.",
        "messages": [{"$ref": f"#/channels/{CHANNEL}/messages/{message_id(event)}"} for event in SENT],
    }


def messages() -> dict[str, Json]:
    return {message_id(event): _message(event, when) for event, when in SENT.items()}


def _message(event: str, when: str) -> Json:
    payload = {"type": "object", "properties": {"event": {"type": "string", "const": event}}}
    return {
        "name": event,
        "title": f"Webhook {event}",
        "summary": when,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/WebhookHeaders"},
        "payload": {"allOf": [{"$ref": f"#/components/schemas/{WebhookBody.__name__}"}, payload]},
        "tags": [{"name": "webhook"}, {"name": "notifications"}],
        "examples": [
            {
                "name": event,
                "headers": {
                    "content-type": "application/json",
                    "webhook-id": WEBHOOK,
                    "webhook-timestamp": "1772546882",
                    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
                },
                "payload": _example(event),
            }
        ],
    }


def _example(event: str) -> Json:
    """`refund_amount` is in those of a refund."""
    given = EXAMPLE["data"]
    refund = {"refund_amount": "15.00"} if event in ("order.refunded", "order.refund_failed") else {}
    status = {"order.created": "pending_payment", "order.updated": "cancelled", "order.completed": "completed"}
    return EXAMPLE | {"event": event, "data": {**given, "status": status.get(event, given["status"]), **refund}}
