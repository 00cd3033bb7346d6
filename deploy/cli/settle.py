"""`orderbus settle`: staff record the outcome of a call when orderbus could not find it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from deploy.cli.errors import Failure, UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data, IdempotencyKey, Number
from deploy.cli.order_changes import Body, BodyOf, OrderCommand, minor_units, submit
from deploy.client.http import ApiClient
from services.fulfillment.domain.settlement import SETTLEABLE
from services.payments.domain.settlement import WITH_REFERENCE
from shared.contracts.fulfillment import SettledOutcome

Reference = Annotated[
    str,
    typer.Option("--reference", metavar="ID", help="The provider's id of the charge or refund, such as pi_… or re_…"),
]
Amount = Annotated[
    str | None,
    typer.Option(
        "--amount", metavar="AMOUNT", help="The amount that moved, such as 12.50; checked against the request."
    ),
]
Outcome = typer.Argument(metavar="OUTCOME", help="What happened.")
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="How you know, for the order's timeline.")]


@on_event_loop
async def payment(
    number: Number,
    outcome: Annotated[Literal["captured", "not_charged"], Outcome],
    reason: Reason,
    attempt: Annotated[
        int | None,
        typer.Option("--attempt", metavar="N", min=1, help="Number of the attempt. Default: the unresolved one."),
    ] = None,
    reference: Reference = "",
    amount: Amount = None,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Record the outcome of an attempt to charge.

    Look it up at the provider first, by the order's number.
    """
    _check_reference(moved=outcome == "captured", reference=reference)
    request = {"outcome": outcome, "reference": reference, "reason": reason}
    body = _of_payment("attempts", "attempt", attempt, request, amount)
    await submit(_settlement("payments", number, idempotency_key, "attempt"), body, data, as_json)


@on_event_loop
async def refund(
    number: Number,
    outcome: Annotated[Literal["refunded", "not_refunded"], Outcome],
    reason: Reason,
    refund: Annotated[
        str, typer.Option("--refund", metavar="ID", help="Id of the refund. Default: the one to settle.")
    ] = "",
    reference: Reference = "",
    amount: Amount = None,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Record the outcome of a refund.

    Look it up at the provider first, by the payment's id. A refund by hand is one that you make: --reference, the id of
    the transfer, may be left out.
    """
    request = {"outcome": outcome, "reference": reference, "reason": reason}
    body = _of_payment("refunds", "refund", refund, request, amount)
    await submit(_settlement("payments", number, idempotency_key, "refund"), body, data, as_json)


@on_event_loop
async def mail(
    number: Number,
    outcome: Annotated[Literal["sent", "not_sent"], Outcome],
    reason: Reason,
    message: Annotated[
        str,
        typer.Option(
            "--message", metavar="ID", help="Message-ID of the email. Default: the one with an unknown outcome."
        ),
    ] = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Record whether an email was sent.

    Look for its Message-ID in the mail server's log first. If it was not sent, send it again with `orderbus resend`.
    """

    async def body(api: ApiClient, order: dict[str, Any]) -> Body:
        known = await api.part("notifications", f"/orders/{order['key']}/notifications") or {"mails": []}
        unknown = [one["message"] for one in known["mails"] if one["state"] == "unknown"]
        subject = message or _the_only(unknown, "emails with an unknown outcome", "--message")
        return {"message": subject, "outcome": outcome, "reason": reason}

    await submit(_settlement("notifications", number, idempotency_key, "message"), body, data, as_json)


@on_event_loop
async def item(
    number: Number,
    outcome: Annotated[SettledOutcome, Outcome],
    reason: Reason,
    item: Annotated[
        str,
        typer.Option(
            "--item", metavar="N", help="The item, or 1/2 for its second action. Default: the only one to settle."
        ),
    ] = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Record whether an item was delivered or revoked.

    Check first whether the customer has access, on the course platform.
    """

    async def body(api: ApiClient, order: dict[str, Any]) -> Body:
        known = await api.part("fulfillment", f"/orders/{order['key']}/deliveries") or {"items": []}
        open_items = [one["id"] for one in known["items"] if _is_open(one, outcome)]
        subject = item or _the_only(open_items, "items to settle", "--item")
        about = subject.partition("/")[0]
        several = sum(one["id"].partition("/")[0] == about for one in known["items"]) > 1
        return {"item": about, "outcome": outcome, "reason": reason} | ({"execution": subject} if several else {})

    await submit(_settlement("fulfillment", number, idempotency_key, "item"), body, data, as_json)


def _settlement(service: str, number: str, key: str, found: str) -> OrderCommand:
    verb = "mails/settle" if service == "notifications" else "settle"
    return OrderCommand(service, verb, number, "the outcome was recorded", key, found)


def _check_reference(*, moved: bool, reference: str) -> None:
    if moved and not reference:
        raise UsageError("Money moved: name the provider's id of the charge or refund with --reference.")


def _is_open(item: dict[str, Any], outcome: SettledOutcome) -> bool:
    return item["status"] in SETTLEABLE[outcome] or bool(outcome == "revoked" and item.get("unrevoked"))


def _of_payment(many: str, one: str, name: int | str | None, request: dict[str, Any], amount: str | None) -> BodyOf:
    """The body of a settlement of one of the payment's attempts or refunds: the one named, or the unresolved one."""

    async def body(api: ApiClient, order: dict[str, Any]) -> Body:
        moved = {} if amount is None else {"amount": minor_units(amount, order["currency"])}
        moved_money = request["outcome"] in WITH_REFERENCE
        if name and (request["reference"] or not moved_money):
            return request | moved | {one: name}
        payment = await api.part("payments", f"/orders/{order['key']}/payment") or {many: []}
        entries = {entry[one]: entry for entry in payment[many]}
        chosen = name or _the_only([id for id, entry in entries.items() if _waits(entry)], what, f"--{one}")
        if not _is_by_hand(entries.get(chosen, {})):
            _check_reference(moved=moved_money, reference=request["reference"])
        return request | moved | {one: chosen}

    what = f"unresolved {many}" if many == "attempts" else "refunds of unknown outcome or by hand"
    return body


def _waits(entry: Mapping[str, Any]) -> bool:
    return entry["status"] == "unresolved" or _is_by_hand(entry)


def _is_by_hand(entry: Mapping[str, Any]) -> bool:
    """A refund that staff make and have not settled."""
    return bool(entry.get("by_hand")) and entry["status"] == "pending"


def _the_only(found: list[Any], what: str, option: str) -> Any:
    if not found:
        raise Failure(f"The order has no {what}. To settle another one, name it with {option}.")
    if len(found) > 1:
        raise UsageError(f"The order has {len(found)} {what}. Choose one with {option}: {', '.join(map(str, found))}.")
    return found[0]
