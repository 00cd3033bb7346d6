"""`orderbus settle`: a person says what became of a call whose outcome nobody could find out."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.orders import Number, minor_units, submit

app = typer.Typer(no_args_is_help=True, help="Say what became of a call whose outcome is unknown.")
Reference = Annotated[str, typer.Option("--reference", help="The provider's id of what moved: pi_…, re_…")]
Amount = Annotated[
    str | None, typer.Option("--amount", help="What moved, such as 12.50: compared with what was asked.")
]
Reason = Annotated[str, typer.Option("--reason", help="How it was found out.")]


@app.command()
def payment(
    number: Number,
    outcome: Annotated[str, typer.Argument(metavar="OUTCOME", help="captured or not_charged.")],
    reason: Reason,
    attempt: Annotated[int | None, typer.Option("--attempt", min=1, help="The unresolved one if missing.")] = None,
    reference: Reference = "",
    amount: Amount = None,
    actor: console.Actor = "staff",
    data: console.Data = None,
    as_json: console.AsJson = False,
) -> None:
    """An attempt to charge: look it up at the provider by the order's number first."""
    _settle("attempts", attempt, number, outcome, reference, amount, reason, actor, data, as_json)


@app.command()
def refund(
    number: Number,
    outcome: Annotated[str, typer.Argument(metavar="OUTCOME", help="refunded or not_refunded.")],
    reason: Reason,
    refund: Annotated[str, typer.Option("--refund", help="Its id; the unresolved one if missing.")] = "",
    reference: Reference = "",
    amount: Amount = None,
    actor: console.Actor = "staff",
    data: console.Data = None,
    as_json: console.AsJson = False,
) -> None:
    """A refund: look it up at the provider by the payment's id first."""
    _settle("refunds", refund, number, outcome, reference, amount, reason, actor, data, as_json)


@app.command()
def mail(
    number: Number,
    outcome: Annotated[str, typer.Argument(metavar="OUTCOME", help="sent or not_sent.")],
    reason: Reason,
    message: Annotated[str, typer.Option("--message", help="Its Message-ID; the unknown one if missing.")] = "",
    actor: console.Actor = "staff",
    data: console.Data = None,
    as_json: console.AsJson = False,
) -> None:
    """A mail: look for its Message-ID in the mail server's log first. One that was not sent: `orderbus resend`."""

    async def body(edges: Any, found: dict[str, Any]) -> dict[str, Any]:
        told = await edges.part("notifications", f"/orders/{found['key']}/notifications") or {"mails": []}
        unknown = [one["message"] for one in told["mails"] if one["state"] == "unknown"]
        return {"message": message or _the_one(unknown, "unknown mails"), "outcome": outcome, "reason": reason}

    submit("notifications", number, "mails/settle", body, actor, data, as_json)


@app.command()
def item(
    number: Number,
    outcome: Annotated[
        str, typer.Argument(metavar="OUTCOME", help="delivered, not_delivered, revoked or not_revoked.")
    ],
    reason: Reason,
    item: Annotated[
        str, typer.Option("--item", help="Its number; the only one that did not end well if missing.")
    ] = "",
    actor: console.Actor = "staff",
    data: console.Data = None,
    as_json: console.AsJson = False,
) -> None:
    """A course: look at the platform whether the customer has access first."""

    async def body(edges: Any, found: dict[str, Any]) -> dict[str, Any]:
        known = await edges.part("fulfillment", f"/orders/{found['key']}/deliveries") or {"items": []}
        stuck = [one["id"] for one in known["items"] if one["status"] in UNSETTLED or one.get("unrevoked")]
        return {"item": item or _the_one(stuck, "items to settle"), "outcome": outcome, "reason": reason}

    submit("fulfillment", number, "settle", body, actor, data, as_json)


UNSETTLED = ("under_way", "failed", "stopping", "revoking", "revocation_failed")


def _settle(
    what: str,
    name: int | str | None,
    number: str,
    outcome: str,
    reference: str,
    amount: str | None,
    reason: str,
    actor: str,
    data: Any,
    as_json: bool,
) -> None:
    subject = {"attempts": "attempt", "refunds": "refund"}[what]

    async def body(edges: Any, found: dict[str, Any]) -> dict[str, Any]:
        wish: dict[str, Any] = {"outcome": outcome, "reference": reference, "reason": reason}
        if amount is not None:
            wish["amount"] = minor_units(amount, found["currency"])
        return wish | {subject: name or await _only_unresolved(edges, found["key"], what, subject)}

    submit("payments", number, "settle", body, actor, data, as_json)


async def _only_unresolved(edges: Any, key: str, what: str, subject: str) -> Any:
    payment = await edges.part("payments", f"/orders/{key}/payment") or {what: []}
    return _the_one([one[subject] for one in payment[what] if one["status"] == "unresolved"], f"unresolved {what}")


def _the_one(found: list[Any], what: str) -> Any:
    if len(found) != 1:
        raise console.Failure(f"The order has {len(found)} {what}; name one.", console.WRONG)
    return found[0]
