"""What staff do to an order: refund, cancel, ship, retry, complete."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.console import counted, money
from deploy.cli.errors import UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data, Number
from deploy.cli.target import api_client
from deploy.client.http import ApiClient
from shared.core.money import MAX_AMOUNT, exponent

AMOUNT = re.compile(r"[0-9]{1,20}(\.[0-9]{1,6})?")
Body = Mapping[str, Any]
BodyOf = Callable[[ApiClient, dict[str, Any]], Awaitable[Body]]
"""Makes a command's body of the order that it is about."""


@on_event_loop
async def refund(
    number: Number,
    amount: Annotated[
        str | None,
        typer.Option(
            "--amount", metavar="AMOUNT", help="An amount such as 12.50. Default: all that is left to refund."
        ),
    ] = None,
    items: Annotated[
        list[str] | None,
        typer.Option("--item", metavar="N", help="Number of an item to refund in full; may be repeated."),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for the order's timeline.")
    ] = "requested_by_customer",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Refund an order: in full, an amount, or single items."""

    async def body(api: ApiClient, order: dict[str, Any]) -> Body:
        request: dict[str, Any] = {"reason": reason}
        if amount is not None:
            request["amount"] = minor_units(amount, order["currency"])
        if items:
            request["items"] = [{"item": item} for item in items]
        return request

    await submit("payments", number, "refund", body, data, as_json)


@on_event_loop
async def cancel(
    number: Number,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the order's timeline.")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Cancel an order before completion; refund payments."""
    await submit("checkout", number, "cancel", {"reason": reason}, data, as_json)


@on_event_loop
async def complete(
    number: Number,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for the order's timeline.")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Mark a paid order as completed by hand."""
    await submit("checkout", number, "complete", {"note": note}, data, as_json)


@on_event_loop
async def ship(
    number: Number,
    carrier: Annotated[str, typer.Option("--carrier", metavar="NAME", help="The carrier, such as DHL.")],
    tracking: Annotated[str, typer.Option("--tracking", metavar="NUMBER", help="The parcel's tracking number.")],
    items: Annotated[
        list[str] | None,
        typer.Option(
            "--item", metavar="N", help="Number of an item in the parcel; may be repeated. Default: all that wait."
        ),
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Mark items as shipped, with a tracking number."""
    parcel = {"carrier": carrier, "tracking": tracking, "items": items or []}
    await submit("fulfillment", number, "ship", parcel, data, as_json)


@on_event_loop
async def retry(
    number: Number,
    items: Annotated[
        list[str] | None,
        typer.Option(
            "--item", metavar="N", help="Number of an item to deliver; may be repeated. Default: all that failed."
        ),
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Retry failed or waiting deliveries."""
    await submit("fulfillment", number, "retry", {"items": items or []}, data, as_json)


async def submit(service: str, number: str, verb: str, body: Body | BodyOf, data: Path | None, as_json: bool) -> None:
    """Send a command about an order, and say that it was accepted."""
    async with api_client(data) as api:
        order = await api.order(number)
        content = await body(api, order) if callable(body) else body
        answer = await api.command(service, f"/orders/{order['key']}/{verb}", content)
    if as_json:
        console.show_json({"order": order["key"], "number": order["number"], **answer})
    else:
        console.say(f"{order['number']}: {verb} accepted. `orderbus order {order['number']}` shows the result.")


def minor_units(amount: str, currency: str) -> int:
    """`12.50` EUR is 1250. Raises UsageError for what is no amount of the currency."""
    if not AMOUNT.fullmatch(amount):
        raise UsageError(f"{amount!r} is not an amount; write it like 12.50.")
    value = Decimal(amount).scaleb(exponent(currency))
    if value != value.to_integral_value():
        decimals = counted(exponent(currency), "decimal") if exponent(currency) else "no decimals"
        raise UsageError(f"{amount} is not an amount of {currency}, which has {decimals}.")
    if not 0 < value <= MAX_AMOUNT:
        most = money(MAX_AMOUNT, currency)
        raise UsageError(f"{amount} is not an amount that can move; it must be above zero, and at most {most}.")
    return int(value)
