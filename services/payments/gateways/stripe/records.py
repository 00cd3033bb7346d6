"""Stripe's own records of what moved: every captured intent and every refund of the account."""

from __future__ import annotations

from services.payments.gateways.provider import ProviderMovement
from services.payments.gateways.stripe.api import INTENTS, REFUNDS, StripeApi
from services.payments.gateways.stripe.objects import Json


async def stripe_movements(api: StripeApi) -> list[ProviderMovement]:
    """Raises stripe.StripeError when Stripe cannot be read. Charges not made by orderbus are listed too, and refunds
    that failed, with the amount 0."""
    movements = [
        _movement(intent, intent["amount_received"], "attempt")
        async for intent in api.every(INTENTS, {})
        if intent["amount_received"]
    ]
    async for refund in api.every(REFUNDS, {}):
        movements.append(_movement(refund, -refund["amount"] if refund["status"] == "succeeded" else 0, "refund"))
    return movements


def _movement(thing: Json, amount: int, named_by: str) -> ProviderMovement:
    metadata = thing.get("metadata") or {}
    names = {name: str(metadata.get(name, "")) for name in ("order", named_by)}
    return ProviderMovement(thing["id"], amount, thing["currency"].upper(), **names)
