"""Stripe's own records of what moved, for reconciliation: every captured intent and every refund of the account."""

from __future__ import annotations

from datetime import datetime

from services.payments.gateways.stripe_api import INTENTS, REFUNDS, StripeApi
from services.payments.gateways.stripe_objects import Json
from services.payments.reconciliation import Movement


async def stripe_movements(
    gateway: StripeApi, since: datetime | None = None, before: datetime | None = None
) -> list[Movement]:
    """Raises stripe.StripeError when Stripe cannot be read. Charges not made by orderbus are listed too."""
    created = {"gte": _seconds(since), "lt": _seconds(before)}
    bounds = {name: value for name, value in created.items() if value is not None}
    params = {"created": bounds} if bounds else {}
    movements = [
        Movement(intent["id"], intent["amount_received"], intent["currency"].upper(), _order(intent))
        async for intent in gateway.every(INTENTS, params)
        if intent["amount_received"]
    ]
    async for refund in gateway.every(REFUNDS, params):
        amount = -refund["amount"] if refund["status"] == "succeeded" else 0
        movements.append(Movement(refund["id"], amount, refund["currency"].upper(), _order(refund)))
    return movements


def _order(thing: Json) -> str:
    return str((thing.get("metadata") or {}).get("order", ""))


def _seconds(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None
