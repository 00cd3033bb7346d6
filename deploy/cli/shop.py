"""`orderbus shop`: the sample shop, so that there is something to buy."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from deploy.cli import console
from deploy.cli.errors import UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data
from deploy.cli.target import settings_of
from deploy.client.http import ApiClient
from deploy.demo.catalogue import Catalogue, load, open_shop
from deploy.sandboxes.client import OutsideWorld
from deploy.sandboxes.stripe.cards import CARDS

COLUMNS = ("sku", "product", "stores", "prices")
CARD_COLUMNS = ("payment_method", "card number", "what happens")


@on_event_loop
async def shop(
    cards: Annotated[
        bool, typer.Option("--cards", help="List the Stripe sandbox's test cards instead, and what happens with each.")
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Set up the sample shop: stores, products, stock.

    It also adds download codes, and a webhook endpoint at the embedded receiver.
    """
    if cards:
        _show_cards(as_json)
        return
    settings = settings_of(data)
    url, token = os.environ.get("ORDERBUS_DEMO__OUTSIDE_URL"), os.environ.get("ORDERBUS_DEMO__OUTSIDE_TOKEN")
    if not url or not token:
        raise UsageError("The sample shop needs the embedded stack: start it with `orderbus up`.")
    catalogue = load(url)
    async with ApiClient.of(settings) as api, OutsideWorld(url, token) as world:
        await open_shop(api, world, catalogue, {})
    if as_json:
        sold = {store: [it.sku for it in catalogue.sold_by(store)] for store in catalogue.stores}
        console.show_json({"stores": list(catalogue.stores), "skus": list(catalogue.products), "sold_by": sold})
        return
    console.show_table(COLUMNS, rows_of(catalogue), title="The shop is set up. What can be bought, and where:")


def rows_of(catalogue: Catalogue) -> list[tuple[str, str, str, str]]:
    return [
        (
            product.sku,
            product.product,
            ", ".join(store for store in catalogue.stores if product in catalogue.sold_by(store)),
            ", ".join(console.money(amount, currency) for currency, amount in product.prices.items()),
        )
        for product in catalogue.products.values()
    ]


def _show_cards(as_json: bool) -> None:
    rows = [(f"pm_card_{card.name}", card.number, card.course) for card in CARDS.values()]
    if as_json:
        console.show_json(
            {"cards": [dict(zip(("payment_method", "number", "course"), row, strict=True)) for row in rows]}
        )
    else:
        console.show_table(CARD_COLUMNS, rows)
