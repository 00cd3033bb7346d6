"""`orderbus order`: everything about one order."""

from __future__ import annotations

import asyncio
from typing import Any

from deploy.cli import console
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data, Number
from deploy.cli.order_page import show_order
from deploy.cli.order_timeline import whole_timeline
from deploy.cli.target import api_client
from deploy.client.http import ApiClient


@on_event_loop
async def order(number: Number, data: Data = None, as_json: AsJson = False) -> None:
    """Show one order: timeline, items, payments, emails."""
    async with api_client(data) as api:
        found = await whole_order(api, number)
    if as_json:
        console.show_json(found)
    else:
        show_order(found)


async def whole_order(api: ApiClient, number: str) -> dict[str, Any]:
    """What all services know of an order: checkout's view, with the others' as `payment`, `deliveries`, …, and
    what arrived in its timeline."""
    found = await api.order(number)
    key = found["key"]
    payment, deliveries, notifications = await asyncio.gather(
        api.part("payments", f"/orders/{key}/payment"),
        api.part("fulfillment", f"/orders/{key}/deliveries"),
        api.part("notifications", f"/orders/{key}/notifications"),
    )
    timeline = whole_timeline(found["timeline"], notifications)
    parts = {"payment": payment, "deliveries": deliveries, "notifications": notifications}
    return found | {"timeline": timeline} | parts
