"""`orderbus complete`: staff mark an order as completed by hand, paid or not."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from deploy.cli.errors import UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data, IdempotencyKey, Number
from deploy.cli.order_changes import Body, OrderCommand, minor_units, submit
from deploy.client.http import ApiClient


@on_event_loop
async def complete(
    number: Number,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for the order's timeline.")] = "",
    paid: Annotated[
        Literal["bank_transfer", "cash", "other"] | None,
        typer.Option("--paid", help="Of an unpaid order: how it was paid elsewhere."),
    ] = None,
    amount: Annotated[
        str | None,
        typer.Option("--amount", metavar="AMOUNT", help="What was paid, such as 12.50; checked against the order."),
    ] = None,
    reference: Annotated[
        str, typer.Option("--reference", metavar="ID", help="The id of the transfer or receipt.")
    ] = "",
    given: Annotated[bool, typer.Option("--given", help="Of an unpaid order: it is given for nothing.")] = False,
    restore_refunded: Annotated[
        bool, typer.Option("--restore-refunded", help="Count its refunds no longer. No money moves.")
    ] = False,
    latest: Annotated[
        bool, typer.Option("--latest", help="Run failed actions again as their products are configured now.")
    ] = False,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Mark an order as completed by hand.

    An order that is not paid needs --paid or --given. One that is completed has its failed actions run again.
    """
    if paid is None and (amount is not None or reference):
        raise UsageError("--amount and --reference go with --paid.")
    options = {"given": given, "restore_refunded": restore_refunded, "latest_configuration": latest}

    async def body(api: ApiClient, order: dict[str, Any]) -> Body:
        found: dict[str, Any] = {"note": note} | {name: True for name, chosen in options.items() if chosen}
        if paid:
            found["paid"] = {"method": paid} | ({"reference": reference} if reference else {})
        if amount is not None:
            found["paid"]["amount"] = minor_units(amount, order["currency"])
        return found

    command = OrderCommand("checkout", "complete", number, "the order was marked as completed", idempotency_key)
    await submit(command, body, data, as_json)
