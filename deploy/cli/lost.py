"""`orderbus lost`, `resend`, `replay`: emails and webhook deliveries that did not arrive, and sending them again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.errors import UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.names import known_endpoint, known_store
from deploy.cli.options import AsJson, Data, IdempotencyKey
from deploy.cli.outcome import Attempt, new_key
from deploy.cli.target import api_client
from deploy.client.http import ApiClient, store_path

Order = Annotated[
    str, typer.Argument(metavar="ORDER", help="The order's number (ORD-…) or id; or name a store with --store.")
]
Store = Annotated[
    str, typer.Option("--store", metavar="STORE", help="All that this store lost in the period, instead of one order.")
]
Since = Annotated[
    str,
    typer.Option("--since", metavar="TIME", help="Lost since: 2026-03-03, 2026-03-03T14:05Z, or 24h or 3d ago."),
]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="Lost before this time. Default: now.")]
Endpoint = Annotated[str, typer.Option("--endpoint", metavar="ID", help="Only webhook deliveries to this endpoint.")]
COLUMNS = ("order", "what", "to", "state", "attempts", "lost at", "why")


@on_event_loop
async def lost(
    store: Annotated[str, typer.Argument(metavar="STORE", help="The store's id.")],
    webhooks: Annotated[bool, typer.Option("--webhooks", help="List webhook deliveries instead of emails.")] = False,
    since: Since = "",
    until: Until = "",
    endpoint: Endpoint = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List emails or webhook deliveries that did not arrive."""
    if endpoint and not webhooks:
        raise UsageError("--endpoint needs --webhooks: emails have no endpoint.")
    query = _period(since, until) | {"what": "webhooks" if webhooks else "mails", "endpoint": endpoint}
    found: list[dict[str, Any]] = []
    async with api_client(data) as api:
        after: str | None = ""
        while after is not None:
            page = await api.get("notifications", store_path(store, "lost"), after=after, **query)
            found += page["lost"]
            after = page["next"]
        if not found:
            await known_store(api, store)
            if endpoint:
                await known_endpoint(api, store, endpoint)
    if as_json:
        console.show_json({"lost": found})
    elif found:
        console.show_table(COLUMNS, map(_cells, found))
    else:
        console.say(f"{store} lost no {'webhook deliveries' if webhooks else 'emails'}.")


@on_event_loop
async def resend(
    order: Order = "",
    mails: Annotated[
        list[str] | None,
        typer.Option("--mail", metavar="ID", help="Only the email with this Message-ID; may be repeated."),
    ] = None,
    store: Store = "",
    since: Since = "",
    until: Until = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Send lost emails again.

    Those of one order, or all that a store lost in a period.
    """
    scope = _scope(order, store, _period(since, until), new_key(idempotency_key))
    if mails and scope.store:
        raise UsageError("--mail needs an order; it does not apply to a store.")
    async with api_client(data) as api:
        if scope.store:
            await known_store(api, store)
            answer = await scope.command(api, "lost/mails/resend", {})
        else:
            answer = await scope.command(api, "mails/resend", {"messages": mails or []})
    scope.report(answer, as_json)


@on_event_loop
async def replay(
    order: Order = "",
    endpoint: Endpoint = "",
    store: Store = "",
    since: Since = "",
    until: Until = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Send lost webhook deliveries again.

    Those of one order, or all that a store lost in a period: deliveries that ran out of attempts or are paused.
    """
    scope = _scope(order, store, _period(since, until), new_key(idempotency_key))
    async with api_client(data) as api:
        if scope.store:
            await known_store(api, store)
            if endpoint:
                await known_endpoint(api, store, endpoint)
        verb = "lost/webhooks/replay" if scope.store else "webhooks/replay"
        answer = await scope.command(api, verb, {"endpoint": endpoint} if endpoint else {})
    scope.report(answer, as_json, " --webhooks")


@dataclass(frozen=True)
class Scope:
    """What is sent again: all of one order, or all of a store and a period."""

    order: str
    store: str
    period: dict[str, str]
    key: str

    async def command(self, api: ApiClient, verb: str, body: dict[str, Any]) -> Any:
        if self.store:
            path, body = f"{store_path(self.store)}/{verb}", body | self.period
            look = f"orderbus lost {self.store}{' --webhooks' if 'webhooks' in verb else ''}"
        else:
            found = await api.order(self.order)
            path, look = f"/orders/{found['key']}/{verb}", f"orderbus order {found['number']}"
        exact = {f"--{name}": moment for name, moment in self.period.items()}
        with Attempt("they are sent again", look, self.key, exact).reported():
            return await api.command("notifications", path, body, identity=self.key)

    def report(self, answer: Any, as_json: bool, option: str = "") -> None:
        """`option`: of `orderbus lost`, to list what was sent again here."""
        if as_json:
            console.show_json(answer)
        elif self.store:
            console.say(f"Accepted. `orderbus lost {self.store}{option}` shows what is still lost.")
        else:
            console.say(f"Accepted. `orderbus order {self.order}` shows the result.")


def _scope(order: str, store: str, period: dict[str, str], key: str) -> Scope:
    if bool(order) == bool(store) or (store and "since" not in period):
        raise UsageError("Name an order, or a store with --store and --since.")
    if order and period:
        raise UsageError("--since and --until need --store; they do not apply to an order.")
    return Scope(order, store, period, key)


def _period(since: str, until: str) -> dict[str, str]:
    given = {"since": since, "until": until}
    return {name: moment(text).isoformat() for name, text in given.items() if text}


def moment(text: str, now: datetime | None = None) -> datetime:
    """`2026-03-03T14:05Z`, or as long ago as `90m`, `24h`, `3d`. Without a zone: this machine's."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    try:
        if re.fullmatch("[0-9]+[mhd]", text):
            return (now or datetime.now().astimezone()) - timedelta(**{units[text[-1]]: int(text[:-1])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is not a time; write it like 2026-03-03, 2026-03-03T14:05Z, 24h or 3d.") from None


def _cells(one: dict[str, Any]) -> list[object]:
    if one.get("newer"):
        return [one["number"], console.NEWER, *[""] * 5]
    what, to = (one["template"], one["audience"]) if "template" in one else (one["event"], one["endpoint"])
    lost_at = console.day_and_clock(one["at"])
    return [one["number"], what, to, one["state"], one["attempts"], lost_at, one["text"] or ""]
