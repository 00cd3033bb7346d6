"""`orderbus delivery`: what staff do about an order's deliveries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlencode

import typer

from deploy.cli import console
from deploy.cli.errors import UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.files import opened
from deploy.cli.options import AsJson, Data, IdempotencyKey, Number
from deploy.cli.order_changes import Body, OrderCommand, minor_units, named, pairs, submit, whole
from deploy.cli.outcome import Attempt, new_key
from deploy.cli.target import api_client
from deploy.client.http import ApiClient

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the order's timeline.")]
Items = Annotated[
    list[str] | None,
    typer.Option("--item", metavar="N", help="An item, or 1/2 for its second action. Repeatable. Default: all."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Do not tell the customer.")]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="For the customer to read.")]


@on_event_loop
async def mark_delivered(
    number: Number,
    reason: Reason,
    items: Items = None,
    codes: Annotated[
        list[str] | None, typer.Option("--code", metavar="CODE", help="A code for the customer. Repeatable.")
    ] = None,
    note: Note = "",
    quiet: Quiet = False,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Mark items, or all that is open, as delivered by hand.

    The order completes once nothing is left to deliver.
    """
    body = {**named(items), "codes": codes or [], "note": note, "notify": not quiet, "reason": reason}
    command = OrderCommand("fulfillment", "mark-delivered", number, "it was marked as delivered", idempotency_key)
    await submit(command, body, data, as_json)


@on_event_loop
async def resend(
    number: Number,
    reason: Reason,
    items: Items = None,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Send again what was delivered, with new links."""
    command = OrderCommand("fulfillment", "resend", number, "it was sent again", idempotency_key)
    await submit(command, {**named(items), "reason": reason}, data, as_json)


@on_event_loop
async def renew(
    number: Number,
    reason: Reason,
    item: Annotated[str, typer.Option("--item", metavar="N", help="The item, or 1/2 for its second action.")],
    file: Annotated[
        str, typer.Option("--file", metavar="NAME", help="One that staff attached, as `orderbus order` names it.")
    ] = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Send the customer new links to an item's downloads.

    They have their whole time and limit. Without --file: what was bought, and all that staff attached.
    """
    command = OrderCommand("fulfillment", "renew", number, "the links were renewed", idempotency_key)
    await submit(command, {"item": item, "file": file or None, "reason": reason}, data, as_json)


@on_event_loop
async def revoke(
    number: Number,
    reason: Reason,
    items: Items = None,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Remove access to what was delivered, without a refund.

    What is not delivered yet is not delivered any more. Stock stays as it is.
    """
    command = OrderCommand("fulfillment", "revoke", number, "it was revoked", idempotency_key)
    await submit(command, {**named(items), "reason": reason}, data, as_json)


@on_event_loop
async def grant_again(
    number: Number,
    reason: Reason,
    items: Items = None,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Deliver again, as it was bought, what staff had revoked."""
    command = OrderCommand("fulfillment", "grant-again", number, "it was granted again", idempotency_key)
    await submit(command, {**named(items), "reason": reason}, data, as_json)


@on_event_loop
async def attach(
    number: Number,
    reason: Reason,
    item: Annotated[str, typer.Option("--item", metavar="N", help="The item, or 1/2 for its second action.")],
    link: Annotated[str, typer.Option("--link", metavar="URL", help="What the customer opens.")] = "",
    file: Annotated[
        str, typer.Option("--file", metavar="FILE", help="What the customer downloads, until the item is revoked.")
    ] = "",
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="What the file is called for the customer. Default: as it is.")
    ] = "",
    note: Note = "",
    quiet: Quiet = False,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Give the customer a link, a file or a text with an item."""
    if file and link:
        raise UsageError("Give --link or --file: each is attached by a command of its own.")
    if file:
        asked = {"name": name or Path(file).name, "note": note, "notify": str(not quiet).lower(), "reason": reason}
        await _attach_file(number, item, file, asked, idempotency_key, data, as_json)
        return
    body = {"item": item, "link": link or None, "note": note, "notify": not quiet, "reason": reason}
    command = OrderCommand("fulfillment", "attach", number, "it was attached", idempotency_key)
    await submit(command, body, data, as_json)


async def _attach_file(
    number: str, item: str, file: str, asked: dict[str, str], key: str, data: Path | None, as_json: bool
) -> None:
    with opened(file) as content:
        async with api_client(data) as api:
            order = await api.order(number)
            attempt = Attempt("the file was attached", f"orderbus order {order['number']}", new_key(key))
            path = f"/orders/{order['key']}/items/{quote(item, safe='')}/file?{urlencode(asked)}"
            with attempt.reported():
                answer = await api.put_file("fulfillment", path, content, attempt.key)
    if as_json:
        console.show_json({"order": order["key"], "number": order["number"], **answer})
    else:
        console.say(f"{order['number']}: attach accepted. `orderbus order {order['number']}` shows the result.")


@on_event_loop
async def hold(
    number: Number,
    reason: Reason,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Deliver nothing of an order until it is released."""
    command = OrderCommand("fulfillment", "hold", number, "the order is held", idempotency_key)
    await submit(command, {"reason": reason}, data, as_json)


@on_event_loop
async def release(
    number: Number,
    reason: Reason,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Deliver an order that was held for verification."""
    command = OrderCommand("fulfillment", "release", number, "the order was released", idempotency_key)
    await submit(command, {"reason": reason}, data, as_json)


@on_event_loop
async def start(
    number: Number,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="For the order's timeline.")] = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Deliver a paid order whose store starts each by hand."""
    command = OrderCommand("fulfillment", "start", number, "its delivery was started", idempotency_key)
    await submit(command, {"reason": reason}, data, as_json)


@on_event_loop
async def returned(
    number: Number,
    reason: Reason,
    items: Annotated[
        list[str], typer.Option("--item", metavar="N[=UNITS]", help="An item: all of it, or some units. Repeatable.")
    ],
    amounts: Annotated[
        list[str] | None,
        typer.Option("--amount", metavar="N=AMOUNT", help="What to refund of an item, such as 1=12.50. Repeatable."),
    ] = None,
    refund: Annotated[bool, typer.Option("--refund", help="Refund what was returned.")] = False,
    no_restock: Annotated[bool, typer.Option("--no-restock", help="It cannot be sold again.")] = False,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Record that items came back; put them in stock, refund.

    Units that a refund has put back in stock are not put back again.
    """

    async def body(api: ApiClient, order: dict[str, object]) -> Body:
        units = {item: whole(given) if given else None for item, given in pairs(items)}
        given = {item: minor_units(amount, str(order["currency"])) for item, amount in pairs(amounts or [])}
        if stray := given.keys() - units.keys():
            raise UsageError(f"--amount names an item that --item does not: {', '.join(sorted(stray))}.")
        lines = [{"item": item, "quantity": units[item], "amount": given.get(item)} for item in units]
        return {"items": lines, "resaleable": not no_restock, "refund": refund, "reason": reason}

    command = OrderCommand("fulfillment", "return", number, "the return was recorded", idempotency_key)
    await submit(command, body, data, as_json)


@on_event_loop
async def parcel_delivered(
    number: Number,
    parcel: Annotated[str, typer.Argument(metavar="PARCEL", help="Its id within the order.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="How it is known, for the timeline.")] = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Record that a parcel has reached the customer."""
    command = OrderCommand("fulfillment", "parcel-delivered", number, "the parcel was recorded", idempotency_key)
    await submit(command, {"parcel": parcel, "reason": reason}, data, as_json)
