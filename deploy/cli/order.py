"""`orderbus order`: everything about one order."""

from __future__ import annotations

import asyncio
from typing import Any

from deploy.cli import console
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data, Number
from deploy.cli.order_page import show_order
from deploy.cli.target import api_client
from deploy.client.http import ApiClient


@on_event_loop
async def order(number: Number, data: Data = None, as_json: AsJson = False) -> None:
    """Show one order: timeline, items, payments, emails."""
    async with api_client(data) as edges:
        found = await whole_order(edges, number)
    if as_json:
        console.show_json(found)
    else:
        show_order(found)


async def whole_order(edges: ApiClient, number: str) -> dict[str, Any]:
    """What all four services know of an order: checkout's view, with the others' under their names."""
    found = await edges.order(number)
    key = found["key"]
    payment, deliveries, told = await asyncio.gather(
        edges.part("payments", f"/orders/{key}/payment"),
        edges.part("fulfillment", f"/orders/{key}/deliveries"),
        edges.part("notifications", f"/orders/{key}/notifications"),
    )
    return found | {"payment": payment, "deliveries": deliveries, "notifications": told}
