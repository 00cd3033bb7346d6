"""`orderbus products`: what a store sells, at which prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.errors import UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.names import known_store
from deploy.cli.options import AsJson, Data, IdempotencyKey
from deploy.cli.order_changes import minor_units
from deploy.cli.outcome import Attempt, new_key
from deploy.cli.target import api_client
from deploy.client.http import store_path

Store = Annotated[str, typer.Argument(metavar="STORE", help="The store's id.")]
Sku = Annotated[str, typer.Argument(metavar="SKU", help="The store's name for it.")]
PAGE = 200
"""As many as checkout gives at once."""
COLUMNS = ("sku", "product", "state", "prices")


@on_event_loop
async def listing(store: Store, data: Data = None, as_json: AsJson = False) -> None:
    """List what a store sells: SKUs and their prices."""
    found: list[dict[str, Any]] = []
    async with api_client(data) as api:
        await known_store(api, store)
        after: str | None = ""
        while after is not None:
            page = await api.get("checkout", store_path(store, "skus"), after=after, limit=PAGE)
            found += page["skus"]
            after = page["next"]
    if as_json:
        console.show_json({"skus": found})
    elif found:
        console.show_table(COLUMNS, map(_cells, found))
    else:
        console.say(f"{store} sells nothing yet.")


@on_event_loop
async def put(
    store: Store,
    sku: Sku,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="The product's name, as customers see it.")],
    prices: Annotated[
        list[str], typer.Option("--price", metavar="CURRENCY=AMOUNT", help="Such as EUR=19.00. Repeatable.")
    ],
    shipped: Annotated[bool, typer.Option("--shipped", help="It is sent in a parcel.")] = False,
    inactive: Annotated[bool, typer.Option("--inactive", help="It is not sold for now.")] = False,
    thumbnail: Annotated[str, typer.Option("--thumbnail", metavar="URL", help="A small picture.")] = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Define a product that is sold as one SKU, or replace it.

    How it is delivered is fulfillment's: docs/first-store.md.
    """
    body: dict[str, Any] = {
        "product": name,
        "prices": dict(map(_price, prices)),
        "shippable": shipped,
        "active": not inactive,
        **({"thumbnail": thumbnail} if thumbnail else {}),
    }
    attempt = Attempt("the product was defined", f"orderbus products list {store}", new_key(idempotency_key))
    path = store_path(store, "skus", sku)
    async with api_client(data) as api:
        await known_store(api, store)
        with attempt.reported():
            answer = await api.command("checkout", path, body, identity=attempt.key, method="PUT")
    if as_json:
        console.show_json(answer)
    else:
        console.say(f"{store} sells {sku}: {name}.")


def _price(given: str) -> tuple[str, int]:
    currency, _, amount = given.partition("=")
    if not amount:
        raise UsageError(f"{given!r} is no price; write it like EUR=19.00.")
    free = amount.replace(".", "", 1).isdecimal() and not Decimal(amount)
    return currency, 0 if free else minor_units(amount, currency)


def _cells(one: dict[str, Any]) -> list[object]:
    if one.get("newer"):
        return [one["sku"], console.NEWER, "", ""]
    prices = ", ".join(console.money(amount, currency) for currency, amount in sorted(one["prices"].items()))
    return [one["sku"], one["product"], "sold" if one["active"] else "not sold", prices]
