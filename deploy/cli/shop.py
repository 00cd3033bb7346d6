"""`orderbus shop`: the shop that ships with orderbus, so that there is something to buy."""

from __future__ import annotations

from deploy.cli import console
from deploy.cli.place import environment_of, settings_of


def shop(data: console.Data = None, as_json: console.AsJson = False) -> None:
    """Set up the sample shop: its stores, products, stock and codes, and a webhook to the embedded receiver."""
    settings = settings_of(data)
    outside = environment_of(data)
    if "ORDERBUS_DEMO__OUTSIDE_URL" not in outside:
        raise console.Failure("The sample shop needs the embedded stack: start it with `orderbus up`.", console.WRONG)

    async def work() -> None:
        from deploy.client.http import ApiClient, OutsideWorld  # noqa: PLC0415
        from deploy.demo.catalogue import load, open_shop  # noqa: PLC0415

        url, token = outside["ORDERBUS_DEMO__OUTSIDE_URL"], outside["ORDERBUS_DEMO__OUTSIDE_TOKEN"]
        catalogue = load(url)
        async with ApiClient.of(settings) as edges, OutsideWorld(url, token) as world:
            await open_shop(edges, world, catalogue, {})
        if as_json:
            console.show_json({"stores": list(catalogue.stores), "skus": list(catalogue.products)})
            return
        rows = [
            (product.sku, product.product, ", ".join(console.money(a, c) for c, a in product.prices.items()))
            for product in catalogue.products.values()
        ]
        console.show_table(("SKU", "product", "prices"), rows, title=f"Stores: {', '.join(catalogue.stores)}")

    console.run(work())
