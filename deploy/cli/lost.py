"""`orderbus lost`, `resend`, `replay`: mails and webhook deliveries that did not arrive, and sending them again."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.place import settings_of

Order = Annotated[str, typer.Argument(metavar="[ORDER]", help="The order's number or id; or name a --store.")]
Store = Annotated[str, typer.Option("--store", help="All that this store lost in the period, instead of one order.")]
Since = Annotated[
    str, typer.Option("--since", metavar="TIME", help="Lost since then: 2026-03-03, 2026-03-03T14:05Z, or 24h, 3d.")
]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="Lost before then; now if missing.")]
Endpoint = Annotated[str, typer.Option("--endpoint", help="Only deliveries to this endpoint.")]
COLUMNS = ("order", "what", "to", "state", "attempts", "lost at", "why")


def lost(
    store: Annotated[str, typer.Argument(metavar="STORE")],
    webhooks: Annotated[bool, typer.Option("--webhooks", help="Webhook deliveries instead of mails.")] = False,
    since: Since = "",
    until: Until = "",
    endpoint: Endpoint = "",
    data: console.Data = None,
    as_json: console.AsJson = False,
) -> None:
    """List a store's mails, or webhook deliveries, that did not arrive, and why."""

    async def work() -> None:
        query = _period(since, until) | {"what": "webhooks" if webhooks else "mails", "endpoint": endpoint}
        found: list[dict[str, Any]] = []
        async with _edges(data, "staff") as edges:
            after: str | None = ""
            while after is not None:
                page = await edges.get("notifications", f"/stores/{store}/lost", after=after, **query)
                found += page["lost"]
                after = page["next"]
        if as_json:
            console.show_json({"lost": found})
        else:
            console.show_table(COLUMNS, [_row(one) for one in found])

    console.run(work())


def resend(
    order: Order = "",
    mails: Annotated[list[str] | None, typer.Option("--mail", help="Only this Message-ID; may be repeated.")] = None,
    store: Store = "",
    since: Since = "",
    until: Until = "",
    actor: console.Actor = "staff",
    data: console.Data = None,
    as_json: console.AsJson = False,
) -> None:
    """Send lost mails again: those of an order, or all of a store and a period."""
    wish = {"messages": mails or []}
    _send_again(
        order, store, ("mails/resend", wish), ("lost/mails/resend", {}), _period(since, until), actor, data, as_json
    )


def replay(
    order: Order = "",
    endpoint: Endpoint = "",
    store: Store = "",
    since: Since = "",
    until: Until = "",
    actor: console.Actor = "staff",
    data: console.Data = None,
    as_json: console.AsJson = False,
) -> None:
    """Post exhausted and paused webhook deliveries again: those of an order, or all of a store and a period."""
    wish = {"endpoint": endpoint} if endpoint else {}
    _send_again(
        order,
        store,
        ("webhooks/replay", wish),
        ("lost/webhooks/replay", wish),
        _period(since, until),
        actor,
        data,
        as_json,
    )


def _send_again(
    order: str,
    store: str,
    of_order: tuple[str, dict[str, Any]],
    of_store: tuple[str, dict[str, Any]],
    period: dict[str, str],
    actor: str,
    data: Path | None,
    as_json: bool,
) -> None:
    if bool(order) == bool(store) or (store and "since" not in period):
        raise console.Failure("Name an order, or a --store and --since when.", console.WRONG)
    if order and period:
        raise console.Failure("--since and --until go with a --store.", console.WRONG)

    async def work() -> None:
        async with _edges(data, actor) as edges:
            if store:
                verb, wish = of_store
                answer = await edges.command("notifications", f"/stores/{store}/{verb}", wish | period)
            else:
                verb, wish = of_order
                found = await edges.order(order)
                answer = await edges.command("notifications", f"/orders/{found['key']}/{verb}", wish)
        if as_json:
            console.show_json(answer)
        else:
            where = f"`orderbus lost {store}` shows what is left." if store else f"`orderbus order {order}` shows them."
            console.say(f"Accepted. {where}")

    console.run(work())


def _period(since: str, until: str) -> dict[str, str]:
    given = {"since": since, "until": until}
    return {name: moment(text).isoformat() for name, text in given.items() if text}


def moment(text: str, now: datetime | None = None) -> datetime:
    """`2026-03-03T14:05Z`, or as long ago as `90m`, `24h`, `3d`. Without a zone: this machine's."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if text[:-1].isdigit() and text[-1] in units:
        return (now or datetime.now().astimezone()) - timedelta(**{units[text[-1]]: int(text[:-1])})
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise console.Failure(f"{text!r} is no time: 2026-03-03, 2026-03-03T14:05Z, 24h, 3d.", console.WRONG) from None


def _row(one: dict[str, Any]) -> list[object]:
    what, to = (one["template"], one["audience"]) if "template" in one else (one["event"], one["endpoint"])
    return [
        one["number"],
        what,
        to,
        one["state"],
        one["attempts"],
        console.day_and_clock(one["at"]),
        one["text"] or "",
    ]


def _edges(data: Path | None, actor: str) -> Any:
    from deploy.client.http import ApiClient  # noqa: PLC0415  # help comes at once

    return ApiClient.of(settings_of(data), actor)
