"""Stripe's own records of what moved, for reconciliation: every captured intent and every refund of the account."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any

from services.payments.gateways.stripe import StripeGateway
from services.payments.gateways.stripe_objects import Json
from services.payments.reconciliation import Movement

PAGE = 100


async def stripe_movements(
    gateway: StripeGateway, since: datetime | None = None, before: datetime | None = None
) -> list[Movement]:
    """Raises stripe.StripeError when Stripe cannot be read. Charges not made by orderbus are listed too."""
    created = {"gte": _seconds(since), "lt": _seconds(before)}
    params: dict[str, Any] = {"limit": PAGE}
    if bounds := {name: value for name, value in created.items() if value is not None}:
        params["created"] = bounds
    services = gateway.client.v1
    movements = [
        Movement(intent["id"], intent["amount_received"], intent["currency"].upper(), _order(intent))
        async for intent in _all(gateway, "payment_intents.list", services.payment_intents.list_async, params)
        if intent["amount_received"]
    ]
    async for refund in _all(gateway, "refunds.list", services.refunds.list_async, params):
        amount = -refund["amount"] if refund["status"] == "succeeded" else 0
        movements.append(Movement(refund["id"], amount, refund["currency"].upper(), _order(refund)))
    return movements


async def _all(
    gateway: StripeGateway, endpoint: str, call: Callable[[Any], Awaitable[Any]], params: dict[str, Any]
) -> AsyncIterator[Json]:
    page_params = dict(params)
    while True:
        await gateway.turn(endpoint)
        page = (await call(page_params)).last_response.data
        for one in page["data"]:
            yield one
        if not page.get("has_more"):
            return
        page_params["starting_after"] = page["data"][-1]["id"]


def _order(thing: Json) -> str:
    return str((thing.get("metadata") or {}).get("order", ""))


def _seconds(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None
