"""`orderbus orders`, `order`, `watch`, and what staff do to an order: refund, cancel, ship, retry, complete."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import console, system
from deploy.cli.order_page import show_order
from deploy.cli.place import settings_of

if TYPE_CHECKING:
    from deploy.client.http import ApiClient

Number = Annotated[str, typer.Argument(metavar="ORDER", help="The order's number (ORD-…) or id.")]


def orders(
    status: Annotated[str, typer.Option("--status", help="Only these, separated by commas.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 30,
    find: Annotated[str, typer.Option("--find", help="Beginning of a number, an email, a name.")] = "",
    after: Annotated[str, typer.Option("--after", help="`next` of an earlier page.")] = "",
    data: console.Data = None,
    as_json: console.AsJson = False,
) -> None:
    """List orders, newest first."""

    async def work() -> None:
        async with _edges(data) as edges:
            found = await edges.orders(status=status, limit=limit, after=after, find=find)
        if as_json:
            console.show_json(found)
            return
        console.show_table(ORDER_COLUMNS, [order_row(order) for order in found["orders"]])
        if found["next"]:
            console.say(f"There are more: --after {found['next']}")

    console.run(work())


ORDER_COLUMNS = ("number", "status", "payment", "delivery", "amount", "customer", "items", "created")


def order_row(order: dict[str, Any]) -> list[object]:
    items = ", ".join(f"{item['quantity']} × {item['sku']}" for item in order.get("items") or ())
    return [
        order["number"],
        order["status"],
        order["payment_status"],
        order["fulfilment_status"],
        console.money(order["purchased"], order["currency"]),
        (order.get("customer") or {}).get("name", ""),
        items,
        console.day_and_clock(order["created_at"]),
    ]


def order(number: Number, data: console.Data = None, as_json: console.AsJson = False) -> None:
    """Show one order: its timeline, items, payments, deliveries and mails."""

    async def work() -> None:
        async with _edges(data) as edges:
            found = await whole_order(edges, number)
        if as_json:
            console.show_json(found)
        else:
            show_order(found)

    console.run(work())


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


def watch(
    from_beginning: Annotated[bool, typer.Option("--all", help="Begin with the orders there are.")] = False,
    count: Annotated[int, typer.Option("--count", min=0, help="End after so many records; 0: never.")] = 0,
    data: console.Data = None,
    as_json: console.AsJson = False,
) -> None:
    """Follow the status of all orders live (topic orders.status.v1); with --json a line per record. Ctrl-C ends it."""

    async def work() -> None:
        from deploy.client.storefront import Follower  # noqa: PLC0415
        from shared.contracts.checkout import STATUS  # noqa: PLC0415

        settings, seen = settings_of(data), 0
        stopping = system.stop_event()
        async with Follower(settings.kafka, [STATUS], from_beginning=from_beginning) as follower:
            console.say(f"Following {STATUS.name}; Ctrl-C ends it.")
            async for batch in follower.batches(timeout=0.5):
                for record in batch:
                    show_status(record.key, record.body, as_json=as_json)
                    seen += 1
                    if seen == count:
                        return
                if stopping.is_set():
                    return

    console.run(work())


def show_status(key: str, body: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        console.show_json({"key": key, **body}, line=True)
        return
    amount = console.money(body.get("purchased"), body.get("currency", "EUR"))
    columns = [console.clock(body.get("updated_at")), body.get("number", ""), body.get("status", "")]
    more = console.details(body, "message", "pay_url")
    print(f"{columns[0]}  {columns[1]}  {columns[2]:<16}{body.get('payment_status', ''):<20}{amount:>14}  {more}")


# What staff do


def refund(
    number: Number,
    amount: Annotated[str | None, typer.Option("--amount", help="Such as 12.50; all that is left if missing.")] = None,
    items: Annotated[list[str] | None, typer.Option("--item", help="Whole items by number; may be repeated.")] = None,
    reason: Annotated[str, typer.Option("--reason")] = "requested_by_customer",
    actor: console.Actor = "staff",
    data: console.Data = None,
    as_json: console.AsJson = False,
) -> None:
    """Give money back: all that is left, an amount, or items."""

    async def body(edges: ApiClient, found: dict[str, Any]) -> dict[str, Any]:
        wish: dict[str, Any] = {"reason": reason}
        if amount is not None:
            wish["amount"] = minor_units(amount, found["currency"])
        if items:
            wish["items"] = [{"item": item} for item in items]
        return wish

    submit("payments", number, "refund", body, actor, data, as_json)


def cancel(
    number: Number,
    reason: Annotated[str, typer.Option("--reason")] = "",
    actor: console.Actor = "staff",
    data: console.Data = None,
    as_json: console.AsJson = False,
) -> None:
    """Cancel an order before completion; money already taken goes back."""
    submit("checkout", number, "cancel", _fixed({"reason": reason}), actor, data, as_json)


def complete(
    number: Number,
    note: Annotated[str, typer.Option("--note")] = "",
    actor: console.Actor = "staff",
    data: console.Data = None,
    as_json: console.AsJson = False,
) -> None:
    """Mark a paid order as completed by hand."""
    submit("checkout", number, "complete", _fixed({"note": note}), actor, data, as_json)


def ship(
    number: Number,
    carrier: Annotated[str, typer.Option("--carrier")],
    tracking: Annotated[str, typer.Option("--tracking")],
    items: Annotated[list[str] | None, typer.Option("--item", help="Only these; all that wait if missing.")] = None,
    actor: console.Actor = "staff",
    data: console.Data = None,
    as_json: console.AsJson = False,
) -> None:
    """Say that a parcel left."""
    wish = {"carrier": carrier, "tracking": tracking, "items": items or []}
    submit("fulfillment", number, "ship", _fixed(wish), actor, data, as_json)


def retry(
    number: Number,
    items: Annotated[list[str] | None, typer.Option("--item", help="Only these; all that failed if missing.")] = None,
    actor: console.Actor = "staff",
    data: console.Data = None,
    as_json: console.AsJson = False,
) -> None:
    """Try failed or waiting deliveries again."""
    submit("fulfillment", number, "retry", _fixed({"items": items or []}), actor, data, as_json)


def _fixed(wish: dict[str, Any]) -> Any:
    async def body(edges: ApiClient, found: dict[str, Any]) -> dict[str, Any]:
        return wish

    return body


def submit(service: str, number: str, verb: str, body: Any, actor: str, data: Path | None, as_json: bool) -> None:
    async def work() -> None:
        async with _edges(data, actor) as edges:
            found = await edges.order(number)
            path = f"/orders/{found['key']}/{verb}"
            answer = await edges.command(service, path, await body(edges, found))
        if as_json:
            console.show_json({"order": found["key"], "number": found["number"], **answer})
        else:
            console.say(
                f"{found['number']}: {verb} accepted. `orderbus order {found['number']}` shows what comes of it."
            )

    console.run(work())


def minor_units(amount: str, currency: str) -> int:
    """`12.50` EUR is 1250. Raises Failure for what is no amount of the currency."""
    from decimal import Decimal, InvalidOperation  # noqa: PLC0415

    from shared.core.money import exponent  # noqa: PLC0415

    try:
        value = Decimal(amount).scaleb(exponent(currency))
    except InvalidOperation:
        raise console.Failure(f"{amount!r} is not an amount: write 12.50", console.WRONG) from None
    if not value.is_finite() or value != value.to_integral_value() or value <= 0:
        raise console.Failure(f"{amount} is not an amount of {currency} that can be given back.", console.WRONG)
    return int(value)


def _edges(data: Path | None, actor: str = "staff") -> ApiClient:
    from deploy.client.http import ApiClient as Client  # noqa: PLC0415

    return Client.of(settings_of(data), actor)
