"""A service's OpenAPI document, made into one that leads the fuzzer to what is there, and to no real address."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.payments.gateways.stripe.callbacks import CALLBACK_PATH, INTENT_EVENTS, REFUND_EVENTS

Json = dict[str, Any]
DOCUMENTS = Path(__file__).parents[2] / "docs/openapi"
ENDLESS = (
    *("/feeds/{recipient}/stream", "/monitor/live/stream"),
    *("/api/v1/changes", "/api/v1/orders/{order}/changes"),
)
"""Never end, so they are tested by themselves."""
NO_REAL_ADDRESS = r"^https?://[a-z]{1,9}\.invalid(/[a-z]{0,9})?$"

PAGE = "https://lighthouse.example/orders/{order}"
"""The shop's own, which its settings tell."""


def fuzzed(service: str, known: Mapping[str, Sequence[str]]) -> Json:
    """`known`: for the variables of paths and for fields by name, what there is. Both it and anything else is tried."""
    whole: Json = json.loads((DOCUMENTS / f"{service}.json").read_text(encoding="utf-8"))
    for path in ENDLESS:
        whole["paths"].pop(path, None)
    for item in whole["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _or_known(parameter["name"], parameter["schema"], known)
    whole = _led(whole, known)
    if CALLBACK_PATH in whole["paths"]:
        body = whole["paths"][CALLBACK_PATH]["post"]["requestBody"]["content"]["application/json"]
        body["schema"] = {"anyOf": [event(known["key"]), {}]}
    return whole


def _led(part: Any, known: Mapping[str, Sequence[str]]) -> Any:
    if isinstance(part, list):
        return [_led(each, known) for each in part]
    if not isinstance(part, dict):
        return part
    if str(part.get("pattern", "")).startswith("^https?://"):
        return {"anyOf": [{**part, "pattern": NO_REAL_ADDRESS}, {"type": "string", "enum": [PAGE]}]}
    led = {name: _led(each, known) for name, each in part.items()}
    if led.get("examples") and isinstance(led["examples"], list):
        return {"anyOf": [{"enum": led["examples"]}, led]}
    if isinstance(led.get("properties"), dict):
        led["properties"] = {name: _or_known(name, each, known) for name, each in led["properties"].items()}
    return led


def _or_known(name: str, schema: Json, known: Mapping[str, Sequence[str]]) -> Json:
    return {"anyOf": [{"type": "string", "enum": list(known[name])}, schema]} if known.get(name) else schema


def event(orders: Sequence[str]) -> Json:
    """Stripe's events about our orders, with fields of any type where Stripe has one of its own."""
    anything: Json = {}
    mostly = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 10**6}, anything]}
    thing = {
        "id": {"anyOf": [{"type": "string", "pattern": "^pi_[a-z0-9]{8}$"}, anything]},
        "status": {"enum": ["succeeded", "canceled", "requires_action", "requires_payment_method", "failed", 7, None]},
        "amount": mostly,
        "amount_received": mostly,
        "amount_captured": mostly,
        "captured": {"type": "boolean"},
        "payment_intent": {"anyOf": [{"type": "string"}, anything]},
        "latest_charge": anything,
        "next_action": anything,
        "last_payment_error": anything,
        "payment_method_details": anything,
        "metadata": {
            "type": "object",
            "properties": {
                "order": {"enum": [*orders, "no-such-order", 7, None]},
                "store": {"enum": ["lasting", "", 7]},
                "attempt": {"enum": ["1", "2", "x", 1, None]},
                "refund": {"enum": ["r-1", "", None]},
            },
        },
    }
    return {
        "type": "object",
        "required": ["id", "type", "created", "data"],
        "properties": {
            "id": {"type": "string", "minLength": 1},
            "type": {"enum": sorted([*INTENT_EVENTS, *REFUND_EVENTS, "charge.succeeded", "charge.expired"])},
            "created": {"type": "integer", "minimum": -1, "maximum": 300_000_000_000},
            "data": {
                "type": "object",
                "properties": {"object": {"type": "object", "properties": thing, "required": ["metadata"]}},
                "required": ["object"],
            },
        },
    }
