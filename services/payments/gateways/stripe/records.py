"""Stripe's own records of what moved: every captured intent and every refund of the account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from services.payments.gateways.provider import ProviderMovement
from services.payments.gateways.stripe.api import INTENTS, REFUNDS, StripeApi
from services.payments.gateways.stripe.currencies import from_stripe
from services.payments.gateways.stripe.objects import Json
from services.payments.gateways.stripe.sdk import stripe


async def stripe_movements(api: StripeApi, since: datetime | None = None) -> AsyncIterator[ProviderMovement]:
    """Raises stripe.StripeError when Stripe cannot be read. Charges not made by orderbus are listed too, and refunds
    that failed, with the amount 0."""
    created: dict[str, Any] = {"created": {"gte": int(since.timestamp())}} if since else {}
    async for intent in api.every(INTENTS, created):
        if intent["amount_received"]:
            yield _charge(intent)
    async for refund in api.every(REFUNDS, created):
        yield _refund(refund)


async def stripe_movement(api: StripeApi, reference: str) -> ProviderMovement | None:
    """Of one intent or refund, by its id; None where Stripe does not know it. Raises stripe.StripeError."""
    try:
        if reference.startswith("re_"):
            return _refund(await api.call("get", REFUNDS + "/{}", {}, of=reference))
        intent = await api.call("get", INTENTS + "/{}", {}, of=reference)
    except stripe.InvalidRequestError:
        return None
    return _charge(intent) if intent["amount_received"] else None


def _charge(intent: Json) -> ProviderMovement:
    return _movement(intent, intent["amount_received"], "attempt")


def _refund(refund: Json) -> ProviderMovement:
    movement = _movement(refund, -refund["amount"] if refund["status"] == "succeeded" else 0, "refund")
    return replace(movement, charge=str(refund.get("payment_intent") or ""))


def _movement(thing: Json, amount: int, named_by: str) -> ProviderMovement:
    metadata = thing.get("metadata") or {}
    names = {name: str(metadata.get(name, "")) for name in ("order", named_by)}
    currency = str(thing["currency"]).upper()
    with suppress(ValueError):  # a currency of former times, or a part of a unit: not ours, with Stripe's number
        amount = from_stripe(amount, currency)
    return ProviderMovement(thing["id"], amount, currency, **names)
