"""The usual way's shop: its tables, filled from the catalogue that both systems sell from."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from sqlalchemy.ext.asyncio import async_sessionmaker

from deploy.demo.catalogue import WEBHOOK_EVENTS, Catalogue
from shared.contracts.values import StoreCard
from shared.shell.postgres.engine import new_engine
from tests.benchmarks.usual_way.fulfillment import Product, Stock
from tests.benchmarks.usual_way.notifications import Endpoint
from tests.benchmarks.usual_way.order_tables import Sku, Store
from tests.benchmarks.usual_way.tables import Base, create_tables


async def open_shop(urls: Mapping[str, str], catalogue: Catalogue) -> None:
    """`urls`: the services' databases, empty."""
    store = catalogue.main
    settings = catalogue.stores[store]
    card = {name: settings[name] for name in StoreCard.model_fields if name != "id" and name in settings}
    rows: dict[str, list[Base]] = {
        "checkout": [Store(id=store, card={"id": store, **card}, currencies=["EUR", "USD", "JPY"], grace=604800)],
        "payments": [],
        "fulfillment": [],
        "notifications": [Endpoint(store=store, id="demo", url="https://hooks.example", events=list(WEBHOOK_EVENTS))],
    }
    for product in catalogue.products.values():
        rows["checkout"].append(
            Sku(
                store=store,
                sku=product.sku,
                product=product.product,
                prices=dict(product.prices),
                shippable=product.shippable,
            )
        )
        tracked = product.stock is not None
        rows["fulfillment"].append(
            Product(store=store, sku=product.sku, action=dict(product.action), track_stock=tracked)
        )
        rows["fulfillment"].append(Stock(store=store, sku=product.sku, on_hand=product.stock or 0, reserved=0))
    for service, of_service in rows.items():
        import_module(f"tests.benchmarks.usual_way.{service}")
        engine = new_engine(urls[service])
        await create_tables(engine)
        async with async_sessionmaker(engine)() as session, session.begin():
            session.add_all(of_service)
        await engine.dispose()
