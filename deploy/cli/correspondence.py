"""What is written about an order: notes, messages that were handed in, and the answer to what the customer asks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import typer

from deploy.cli.errors import Failure, UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data, IdempotencyKey, Number
from deploy.cli.order_changes import Body, OrderCommand, submit
from deploy.client.http import ApiClient

Written = Annotated[str, typer.Argument(metavar="TEXT", help="What is written.")]


@on_event_loop
async def note(
    number: Number,
    text: Written,
    customer: Annotated[
        bool, typer.Option("--customer", help="On the customer: shown with all orders of the email address.")
    ] = False,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add a note for staff to an order or its customer.

    Customers never see it.
    """
    command = OrderCommand("checkout", "notes", number, "the note was added", idempotency_key)
    await submit(command, {"text": text, "about": "customer" if customer else "order"}, data, as_json)


@on_event_loop
async def hand_in(
    number: Number,
    text: Written,
    sender: Annotated[Literal["customer", "store"], typer.Option("--from", help="Who wrote it.")],
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="When it was written: 2026-03-03T14:05:00Z.")],
    author: Annotated[str, typer.Option("--author", metavar="NAME", help="The name of who wrote it.")] = "",
    attachments: Annotated[
        list[str] | None,
        typer.Option("--attachment", metavar="WHERE", help="Where an attachment is; may be repeated."),
    ] = None,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Hand in a message that was written elsewhere.

    By customer or store. It is kept with the order, and not sent on.
    """
    body: dict[str, Any] = {"sender": sender, "text": text, "written_at": _moment(at)}
    body |= ({"author": author} if author else {}) | ({"attachments": attachments} if attachments else {})
    command = OrderCommand("checkout", "messages", number, "the message was handed in", idempotency_key)
    await submit(command, body, data, as_json)


def _moment(text: str) -> str:
    """Raises UsageError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(f"{text!r} is no time; write it like 2026-03-03T14:05:00Z.")
    return moment.isoformat()


@on_event_loop
async def answer(
    number: Number,
    said: Annotated[Literal["granted", "refused"], typer.Argument(help="What is granted is done.")],
    text: Annotated[str, typer.Option("--text", metavar="TEXT", help="For the customer.")] = "",
    wants: Annotated[
        Literal["cancel", "refund"] | None,
        typer.Option("--wants", help="What is answered. Default: what the customer asks for."),
    ] = None,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Grant or refuse what the customer asks for.

    Granted, the order is cancelled, or all that is left of its payment is refunded.
    """

    async def body(api: ApiClient, order: dict[str, Any]) -> Body:
        asked = wants or (order.get("asked") or {}).get("wants")
        if asked is None:
            raise Failure(f"The customer of {order['number']} asks for nothing.")
        return {"wants": asked, "granted": said == "granted", "text": text}

    command = OrderCommand("checkout", "answer", number, "the answer was recorded", idempotency_key, "wants")
    await submit(command, body, data, as_json)
