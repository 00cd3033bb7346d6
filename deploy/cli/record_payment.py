"""`orderbus record-payment`: staff record that a customer paid by hand."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data, IdempotencyKey, Number
from deploy.cli.order_changes import Body, OrderCommand, minor_units, submit
from deploy.client.http import ApiClient


@on_event_loop
async def record_payment(
    number: Number,
    method: Annotated[Literal["bank_transfer", "cash", "other"], typer.Option("--method", help="How it was paid.")],
    amount: Annotated[
        str | None,
        typer.Option("--amount", metavar="AMOUNT", help="What was paid, such as 12.50; checked against the order."),
    ] = None,
    reference: Annotated[
        str, typer.Option("--reference", metavar="ID", help="The id of the transfer or receipt.")
    ] = "",
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="More about it, for the order's timeline.")] = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Record a payment by bank transfer, in cash or otherwise.

    The order has to wait for it, or to have waited: what comes after its end is refunded by staff.
    """
    given = {"method": method, "reference": reference, "note": note}

    async def body(api: ApiClient, order: dict[str, Any]) -> Body:
        paid = {} if amount is None else {"amount": minor_units(amount, order["currency"])}
        return {name: value for name, value in given.items() if value} | paid

    command = OrderCommand("payments", "record-payment", number, "the payment was recorded", idempotency_key)
    await submit(command, body, data, as_json)
