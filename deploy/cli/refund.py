"""`orderbus refund`: refunds an order, records that it was refunded in another way, or shows what a refund would do."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.console import day_and_clock, money
from deploy.cli.errors import UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data, IdempotencyKey, Number
from deploy.cli.order_changes import Body, OrderCommand, minor_units, preview, submit
from deploy.client.http import ApiClient
from shared.contracts.payments import RefundReason

Amount = Annotated[
    str | None,
    typer.Option("--amount", metavar="AMOUNT", help="An amount such as 12.50. Default: all that is left to refund."),
]
Items = Annotated[
    list[str] | None,
    typer.Option(
        "--item", metavar="N[=AMOUNT]", help="Number of an item: all that is left of it, or an amount. Repeatable."
    ),
]
Attempt = Annotated[
    int | None,
    typer.Option("--attempt", metavar="N", min=1, help="Whose charge to refund. Default: the one that paid the order."),
]
RecordOnly = Annotated[
    bool,
    typer.Option("--record-only", help="Move no money: the customer gets it in another way, which --note says."),
]
Reference = Annotated[
    str, typer.Option("--reference", metavar="ID", help="With --record-only: the id of the transfer or receipt.")
]

KeepAccess = Annotated[
    bool, typer.Option("--keep-access", help="The customer keeps what was delivered, also of wholly refunded items.")
]
RemoveAccess = Annotated[
    list[str] | None,
    typer.Option(
        "--remove-access",
        metavar="N",
        help="Remove access to this wholly refunded item only. Repeatable. Default: all.",
    ),
]
RemoveOfferAccess = Annotated[
    bool,
    typer.Option(
        "--remove-offer-access",
        help="Remove what came with the order's offer, and with every order. Default: with the whole order.",
    ),
]
NoRestock = Annotated[
    bool, typer.Option("--no-restock", help="Put nothing back in stock, not even wholly refunded items.")
]
Restock = Annotated[
    list[str] | None,
    typer.Option(
        "--restock", metavar="N", help="Put only this wholly refunded item back in stock. Repeatable. Default: all."
    ),
]


@on_event_loop
async def refund(
    number: Number,
    amount: Amount = None,
    items: Items = None,
    attempt: Attempt = None,
    reason: Annotated[RefundReason, typer.Option("--reason", help="Why, for the provider.")] = "requested_by_customer",
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="More about it, for the payment.")] = "",
    record_only: RecordOnly = False,
    reference: Reference = "",
    keep_access: KeepAccess = False,
    remove_access: RemoveAccess = None,
    remove_offer_access: RemoveOfferAccess = False,
    no_restock: NoRestock = False,
    restock: Restock = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would do, and change nothing.")] = False,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Refund an order: in full, an amount, or single items."""
    if amount is not None and items:
        raise UsageError("Choose --amount or --item, not both: an item can have its own amount, as in --item 1=5.00.")
    if record_only and not note:
        raise UsageError("--record-only moves no money: say with --note how the customer gets it.")
    if reference and not record_only:
        raise UsageError("--reference needs --record-only: the provider gives its own.")
    if (keep_access and remove_access) or (no_restock and restock):
        raise UsageError("Choose --keep-access or --remove-access, and --no-restock or --restock, not both.")
    given: dict[str, Any] = {"note": note, "attempt": attempt, "reference": reference}
    request = {"reason": reason} | {name: value for name, value in given.items() if value}
    if record_only:
        request["refund_payment"] = False
    if keep_access or remove_access:
        request["remove_access"] = remove_access or []
    if remove_offer_access:
        request["remove_offer_access"] = True
    if no_restock or restock:
        request["restock"] = restock or []

    async def body(api: ApiClient, order: dict[str, Any]) -> Body:
        currency = order["currency"]
        if amount is not None:
            return request | {"amount": minor_units(amount, currency)}
        return request | ({"items": [_line(item, currency) for item in items]} if items else {})

    if dry_run:
        await preview("payments", "refund", number, body, data, console.show_json if as_json else _show)
        return
    what = "the refund was recorded" if record_only else "the refund was made"
    await submit(OrderCommand("payments", "refund", number, what, idempotency_key), body, data, as_json)


def _line(item: str, currency: str) -> dict[str, Any]:
    """`2` or `2=5.00`."""
    name, given, amount = item.partition("=")
    return {"item": name} | ({"amount": minor_units(amount, currency)} if given else {})


def _show(preview: dict[str, Any]) -> None:
    currency, provider = preview["currency"], preview["provider"]
    before, after = (money(preview[f"refundable_{when}"], currency) for when in ("before", "after"))
    console.show(
        f"{preview['number']}: a refund of {money(preview['amount'], currency)} of attempt {preview['attempt']}."
    )
    console.show(f"  can still be refunded: {before} now, {after} after it")
    for item in preview["items"]:
        rest = f"{money(item['refundable_before'], currency)} now, {money(item['refundable_after'], currency)} after it"
        whole = "  wholly refunded" if item["whole"] else ""
        console.show(f"  item {item['item']}  {money(item['amount'], currency):>14}  ({rest}){whole}")
    console.show(f"  access removed: {_choice(preview['remove_access'])}")
    if offer := preview["remove_offer_access"]:
        console.show(f"  access by the order's offer, and by every order, removed: {_yes_or_no(offer)}")
    console.show(f"  put back in stock, where it is counted: {_choice(preview['restock'])}")
    where = f" ({preview['dashboard']})" if preview["dashboard"] else ""
    if preview["recorded"]:
        console.show(f"  it is recorded only: no money moves at {provider}{where}")
    elif preview["by_hand"]:
        confirm = f"orderbus settle refund {preview['number']} refunded --reason TEXT"
        console.show(f"  {provider} cannot make it: staff make it{where}, then confirm it: {confirm}")
    else:
        until = f", and can until {day_and_clock(preview['refundable_until'])}"
        console.show(f"  {provider} makes it{until if preview['refundable_until'] else ''}")
    if parked := preview["parked"]:
        waits = "1 message of this order waits" if parked == 1 else f"{parked} messages of this order wait"
        console.show(f"  {waits}: the refund is refused until `orderbus parked show '{preview['order']}'` is empty")
    console.say("Nothing was changed. Without --dry-run the refund is made.")


def _choice(choice: dict[str, Any]) -> str:
    """What is chosen, and what the default is where that is something else."""
    chosen, default = (f"item {', '.join(choice[name])}" if choice[name] else "none" for name in ("chosen", "default"))
    return chosen if chosen == default else f"{chosen} (by default: {default})"


def _yes_or_no(choice: dict[str, bool]) -> str:
    chosen, default = ("yes" if choice[name] else "no" for name in ("chosen", "default"))
    return chosen if chosen == default else f"{chosen} (by default: {default})"
