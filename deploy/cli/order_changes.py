"""What staff do to an order: cancel, ship, retry; and how every such command is sent."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.console import counted, money
from deploy.cli.errors import UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data, IdempotencyKey, Number
from deploy.cli.outcome import Attempt, new_key
from deploy.cli.target import api_client
from deploy.client.http import ApiClient
from shared.core.money import MAX_AMOUNT, exponent

AMOUNT = re.compile(r"[0-9]{1,20}(\.[0-9]{1,6})?")
Body = Mapping[str, Any]
BodyOf = Callable[[ApiClient, dict[str, Any]], Awaitable[Body]]
"""Makes a command's body of the order that it is about."""


@on_event_loop
async def cancel(
    number: Number,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the order's timeline.")] = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Cancel an order before completion; refund payments."""
    command = OrderCommand("checkout", "cancel", number, "the order was cancelled", idempotency_key)
    await submit(command, {"reason": reason}, data, as_json)


@on_event_loop
async def accept(
    number: Number,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the order's timeline.")] = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Accept an order that waits for approval; charge it."""
    command = OrderCommand("checkout", "accept", number, "the order was accepted", idempotency_key)
    await submit(command, {"reason": reason}, data, as_json)


@on_event_loop
async def reopen(
    number: Number,
    tries: Annotated[
        int, typer.Option("--tries", metavar="N", help="How often the customer may try to pay: 1 to 50.")
    ] = 3,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for the order's timeline.")] = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Reopen an order whose payment has failed."""
    command = OrderCommand("checkout", "reopen", number, "the order was reopened", idempotency_key)
    await submit(command, {"tries": tries, "note": note}, data, as_json)


@on_event_loop
async def decline(
    number: Number,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the order's timeline.")] = "",
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What the customer is told.")] = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Decline an order that waits; nothing is charged."""
    command = OrderCommand("checkout", "decline", number, "the order was declined", idempotency_key)
    await submit(command, {"reason": reason, "note": note}, data, as_json)


@on_event_loop
async def ship(
    number: Number,
    carrier: Annotated[str, typer.Option("--carrier", metavar="NAME", help="The carrier, such as DHL.")],
    tracking: Annotated[str, typer.Option("--tracking", metavar="NUMBER", help="The parcel's tracking number.")],
    items: Annotated[
        list[str] | None,
        typer.Option(
            "--item",
            metavar="N",
            help="An item in the parcel, or 1/2 for its second action; may be repeated. Default: all that wait.",
        ),
    ] = None,
    quantities: Annotated[
        list[str] | None,
        typer.Option("--quantity", metavar="N=UNITS", help="So many units of an item only; may be repeated."),
    ] = None,
    link: Annotated[
        str, typer.Option("--link", metavar="URL", help="Where to follow it. Default: the page of a known carrier.")
    ] = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Mark items as shipped, with a tracking number."""
    units = {"quantities": {item: whole(number) for item, number in pairs(quantities)}} if quantities else {}
    parcel = {"carrier": carrier, "tracking": tracking, **named(items), **units, **({"link": link} if link else {})}
    command = OrderCommand("fulfillment", "ship", number, "the items were marked as shipped", idempotency_key)
    await submit(command, parcel, data, as_json)


@on_event_loop
async def retry(
    number: Number,
    items: Annotated[
        list[str] | None,
        typer.Option(
            "--item",
            metavar="N",
            help="An item to deliver, or 1/2 for its second action; may be repeated. Default: all that failed.",
        ),
    ] = None,
    latest: Annotated[
        bool,
        typer.Option(
            "--latest", help="Deliver as the products are configured now. This replaces for good what was bought."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would do, and change nothing.")] = False,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Retry failed or waiting deliveries."""
    body = {**named(items), "latest": latest}
    if dry_run:
        await preview("fulfillment", "retry", number, body, data, console.show_json if as_json else _show_retry)
        return
    command = OrderCommand("fulfillment", "retry", number, "the deliveries are retried", idempotency_key)
    await submit(command, body, data, as_json)


def named(items: Sequence[str] | None) -> dict[str, list[str]]:
    """Items, and single executions such as `1/2`."""
    given = items or []
    executions = [item for item in given if "/" in item]
    return {"items": [item for item in given if "/" not in item]} | ({"executions": executions} if executions else {})


def pairs(given: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (each.partition("=") for each in given)]


def whole(units: str) -> int:
    """Raises UsageError."""
    if not (units.isascii() and units.isdigit() and int(units)):
        raise UsageError(f"{units!r} is no number of units; write it like 2.")
    return int(units)


def _show_retry(preview: Mapping[str, Any]) -> None:
    console.show(f"{preview['number']}: a retry of {counted(len(preview['items']), 'item')}.")
    for item in preview["items"]:
        before, after = (f"{item[f'kind{when}']} (version {item[f'version{when}']})" for when in ("", "_after"))
        before = before if item["kind"] else "not configured"
        how = before if before == after else f"{before} becomes {after}, for good"
        console.show(f"  item {item['item']}  {item['product']}: {'revoked' if item['revokes'] else how}")
    console.say("Nothing was changed.")


@dataclass(frozen=True)
class OrderCommand:
    """A command about an order, as it is sent and reported."""

    service: str
    verb: str
    number: str
    what: str
    """As in `Attempt`."""
    key: str
    found: str = ""
    """The field of the body that a repetition names by an option, since it may have been found by itself."""


async def submit(command: OrderCommand, body: Body | BodyOf, data: Path | None, as_json: bool) -> None:
    """Send a command about an order, and say that it was accepted. Raises Failure when that is not known."""
    verb = command.verb
    async with api_client(data) as api:
        order = await api.order(command.number)
        number = order["number"]
        content = await body(api, order) if callable(body) else body
        named = {f"--{command.found}": content[command.found]} if command.found else {}
        attempt = Attempt(command.what, f"orderbus order {number}", new_key(command.key), named)
        with attempt.reported():
            path = f"/orders/{order['key']}/{verb}"
            answer = await api.command(command.service, path, content, identity=attempt.key)
    if as_json:
        console.show_json({"order": order["key"], "number": number, **answer})
    else:
        console.say(f"{number}: {verb} accepted. `orderbus order {number}` shows the result.")


async def preview(
    service: str, verb: str, number: str, body: Body | BodyOf, data: Path | None, show: Callable[[dict[str, Any]], None]
) -> None:
    """Show what a command about an order would do; it changes nothing."""
    async with api_client(data) as api:
        order = await api.order(number)
        content = await body(api, order) if callable(body) else body
        found = await api.read(service, f"/orders/{order['key']}/{verb}/preview", content)
    show({"order": order["key"], "number": order["number"], **found})


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
