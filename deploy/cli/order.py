"""`orderbus order`: everything about one order."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.errors import UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data
from deploy.cli.order_as_of import moment, order_as_of, show_order_as_of
from deploy.cli.order_explanation import explained, lines
from deploy.cli.order_page import show_order
from deploy.cli.order_timeline import timeline_or_why
from deploy.cli.target import api_client
from deploy.client.http import ApiClient

Named = Annotated[
    str, typer.Argument(metavar="ORDER", help="The order's number (ORD-…) or id; or --newest instead of it.")
]


@on_event_loop
async def order(
    number: Named = "",
    newest: Annotated[bool, typer.Option("--newest", help="The order that was created last.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Why it is where it is: what waits for what, and what may be done.")
    ] = False,
    as_of: Annotated[
        str, typer.Option("--as-of", metavar="TIME", help="As it was at that time (2026-03-03T14:05:00Z).")
    ] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show one order: timeline, items, payments, emails."""
    if newest == bool(number):
        raise UsageError("Name an order by its number or id, or give --newest.")
    if explain and as_of:
        raise UsageError("Give --explain or --as-of, not both: why it was where it was is in its timeline.")
    at = moment(as_of) if as_of else None
    async with api_client(data) as api:
        name = number or await _newest(api)
        if at:
            found = await order_as_of(api, name, at)
        else:
            found = await explained(api, name) if explain else await whole_order(api, name)
    if as_json:
        console.show_json(found)
    elif at:
        show_order_as_of(found)
    elif explain:
        for line in lines(found):
            console.show(line, 12)
    else:
        show_order(found)


async def _newest(api: ApiClient) -> str:
    found = (await api.orders(limit=1))["orders"]
    if not found:
        raise UsageError("There are no orders.")
    return str(found[0]["key"])


async def whole_order(api: ApiClient, number: str) -> dict[str, Any]:
    """What all services know of an order: checkout's view, with the others' as `payment`, `deliveries`, …, and the
    `timeline` of staff; null if staff does not tell it: `timeline_missing` says why."""
    found = await api.order(number)
    key = found["key"]
    payment, deliveries, notifications, (timeline, why) = await asyncio.gather(
        api.part("payments", f"/orders/{key}/payment"),
        api.part("fulfillment", f"/orders/{key}/deliveries"),
        api.part("notifications", f"/orders/{key}/notifications"),
        timeline_or_why(api, key),
    )
    parts = {"payment": payment, "deliveries": deliveries, "notifications": notifications}
    return found | parts | {"timeline": timeline} | ({"timeline_missing": why} if why else {})
