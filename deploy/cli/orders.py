"""`orderbus orders`: a page of orders."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.errors import UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.names import known_store
from deploy.cli.options import AsJson, Data
from deploy.cli.target import api_client
from deploy.client.http import Problem

COLUMNS = ("number", "status", "payment", "delivery", "amount", "customer", "items", "created")


@on_event_loop
async def orders(
    status: Annotated[
        str, typer.Option("--status", metavar="STATUS", help="Only these statuses, comma-separated.")
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=200, help="List at most this many orders.")
    ] = 30,
    find: Annotated[
        str, typer.Option("--find", metavar="TEXT", help="Start of an order number, or an email address or a name.")
    ] = "",
    store: Annotated[str, typer.Option("--store", metavar="STORE", help="Only orders of this store.")] = "",
    after: Annotated[str, typer.Option("--after", metavar="NEXT", help="Continue after a page: its `next`.")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List orders, newest first."""
    async with api_client(data) as api:
        try:
            found = await api.orders(status=status, store=store, limit=limit, after=after, find=find)
        except Problem as problem:
            if problem.status == HTTPStatus.FORBIDDEN and not store:
                raise UsageError("Your API client may not act for all stores: name one with --store.") from None
            raise
        if store and not found["orders"]:
            await known_store(api, store)
    if as_json:
        console.show_json(found)
        return
    console.show_page("orders", COLUMNS, found["orders"], _cells, found["next"])


def _cells(order: dict[str, Any]) -> list[object]:
    if order.get("newer"):
        return [
            order["number"] or order["key"],
            order["status"],
            order["payment_status"],
            order["fulfilment_status"],
            *(console.NEWER, "", ""),
            console.day_and_clock(order["created_at"]),
        ]
    items = console.items_in_words(order.get("items") or ())
    return [
        order["number"],
        order.get("status_word") or order["status"],
        order["payment_status"],
        order["fulfilment_status"],
        console.money(order["purchased"], order["currency"]),
        (order.get("customer") or {}).get("name", ""),
        items,
        console.day_and_clock(order["created_at"]),
    ]
