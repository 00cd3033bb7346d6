"""`orderbus stock`: how many units there are, corrections, and the history of each SKU."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.errors import UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.history import PAGE, latest
from deploy.cli.names import known_store
from deploy.cli.options import AsJson, Data, IdempotencyKey
from deploy.cli.outcome import Attempt, new_key
from deploy.cli.target import api_client
from deploy.client.http import ApiClient, store_path

Store = Annotated[str, typer.Argument(metavar="STORE", help="The store's id.")]
Sku = Annotated[str, typer.Argument(metavar="SKU", help="The product's SKU.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the SKU's history.")]
STOCK_COLUMNS = ("sku", "free", "reserved", "on hand", "low below", "low since")
HISTORY_COLUMNS = ("at", "why", "units", "on hand", "free", "actor", "order", "reason")


@on_event_loop
async def listing(
    store: Store,
    low: Annotated[bool, typer.Option("--low", help="Only what is low, as the products say.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List the stock of a store, or only what is low."""
    found: list[dict[str, Any]] = []
    async with api_client(data) as api:
        after: str | None = ""
        while after is not None:
            path = store_path(store, "stock")
            page = await api.get("fulfillment", path, low=int(low), after=after, limit=PAGE)
            found += page["stock"]
            after = page["next"]
        if not found:
            await known_store(api, store)
    if as_json:
        console.show_json({"store": store, "stock": found})
    elif found:
        console.show_table(STOCK_COLUMNS, map(_stock_cells, found))
    else:
        console.say("No stock is low." if low else f"{store} counts no stock.")


@on_event_loop
async def receive(
    store: Store,
    sku: Sku,
    units: Annotated[int, typer.Argument(metavar="UNITS", min=1, help="How many came.")],
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add units that were delivered to you."""
    await _send("POST", store, sku, "", {"quantity": units}, idempotency_key, data, as_json)


@on_event_loop
async def set_units(
    store: Store,
    sku: Sku,
    units: Annotated[int, typer.Argument(metavar="UNITS", min=0, help="How many are on hand.")],
    reason: Reason,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Say how many units are on hand, as counted.

    Units of orders that are not paid yet are among them; those of paid orders are not, even if they are still there.
    """
    body = {"on_hand": units, "reason": reason}
    await _send("PUT", store, sku, "", body, idempotency_key, data, as_json)


@on_event_loop
async def adjust(
    store: Store,
    sku: Sku,
    units: Annotated[
        str, typer.Argument(metavar="UNITS", help="How many more, such as +3; or fewer: 3-, or -- -3 as a last word.")
    ],
    reason: Reason,
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add units that were found, or take away lost ones."""
    body = {"units": signed(units), "reason": reason}
    await _send("POST", store, sku, "/adjust", body, idempotency_key, data, as_json)


@on_event_loop
async def history(
    store: Store,
    sku: Sku,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many, the latest.")] = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show how a SKU's stock has changed, by whom and why."""
    async with api_client(data) as api:
        found = await latest(api, "fulfillment", f"{_path(store, sku)}/history", "movements", limit)
        if not found:
            await known_store(api, store)
    if as_json:
        console.show_json({"store": store, "sku": sku, "movements": found})
    elif found:
        console.show_table(HISTORY_COLUMNS, map(_history_cells, found))
    else:
        console.say(f"The stock of {sku} has never changed.")


def signed(units: str) -> int:
    """`+3` or `3`: three more; `-3` or `3-`: three fewer. Raises UsageError."""
    found = re.fullmatch(r"([+-]?)(\d{1,9})(-?)", units)
    if not found or (found[1] and found[3]):
        raise UsageError(f"{units!r} is no number of units; write it like +3, or 3- for three fewer.")
    return -int(found[2]) if "-" in (found[1], found[3]) else int(found[2])


async def _send(
    method: str, store: str, sku: str, verb: str, body: dict[str, Any], key: str, data: Path | None, as_json: bool
) -> None:
    attempt = Attempt("the stock was changed", f"orderbus stock history {store} {sku}", new_key(key))
    async with api_client(data) as api:
        await known_store(api, store)
        with attempt.reported():
            path = f"{_path(store, sku)}{verb}"
            answer = await api.command("fulfillment", path, body, identity=attempt.key, method=method)
        now = await _now(api, store, sku)
    if as_json:
        console.show_json({"store": store, "sku": sku, **answer, "stock": now})
    else:
        console.say(f"{sku} of {store}: {now['on_hand']} on hand, {now['free']} of them free.")


async def _now(api: ApiClient, store: str, sku: str) -> dict[str, Any]:
    found: dict[str, Any] = await api.get("fulfillment", _path(store, sku))
    return found


def _path(store: str, sku: str) -> str:
    return store_path(store, "stock", sku)


def _stock_cells(row: dict[str, Any]) -> list[object]:
    if row.get("newer"):
        return [row["sku"], console.NEWER, *[""] * (len(STOCK_COLUMNS) - 2)]
    low, since = row.get("low_stock"), row.get("low_since")
    shown = ["" if low is None else low, console.day_and_clock(since) if since else ""]
    return [row["sku"], row["free"], row["reserved"], row["on_hand"], *shown]


def _history_cells(row: dict[str, Any]) -> list[object]:
    units = f"{row['units']:+d}" if row["units"] else "0"
    start = [console.day_and_clock(row["at"]), row["why"], units, row["on_hand"], row["free"]]
    return [*start, row["actor"], row["order_key"], row["reason"]]
