"""`orderbus shop`: the sample shop, so that there is something to buy."""

from __future__ import annotations

import os

from deploy.cli import console
from deploy.cli.errors import UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data
from deploy.cli.target import settings_of
from deploy.client.http import ApiClient
from deploy.demo.catalogue import load, open_shop
from deploy.sandboxes.client import OutsideWorld

COLUMNS = ("sku", "product", "prices")


@on_event_loop
async def shop(data: Data = None, as_json: AsJson = False) -> None:
    """Set up the sample shop: stores, products, stock.

    It also adds download codes, and a webhook endpoint at the embedded receiver.
    """
    settings = settings_of(data)
    url, token = os.environ.get("ORDERBUS_DEMO__OUTSIDE_URL"), os.environ.get("ORDERBUS_DEMO__OUTSIDE_TOKEN")
    if not url or not token:
        raise UsageError("The sample shop needs the embedded stack: start it with `orderbus up`.")
    catalogue = load(url)
    async with ApiClient.of(settings) as api, OutsideWorld(url, token) as world:
        await open_shop(api, world, catalogue, {})
    if as_json:
        console.show_json({"stores": list(catalogue.stores), "skus": list(catalogue.products)})
        return
    rows = [
        (product.sku, product.product, ", ".join(console.money(a, c) for c, a in product.prices.items()))
        for product in catalogue.products.values()
    ]
    console.show_table(COLUMNS, rows, title=f"Stores: {', '.join(catalogue.stores)}")
